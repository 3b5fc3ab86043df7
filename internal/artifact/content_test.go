package artifact

import "testing"

func TestContentType(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"public/build.log":       "text/plain",
		"public/BUILD.Log":       "text/plain",
		"public/events.JSONL":    "application/jsonl",
		"public/page.html":       "text/html; charset=utf-8",
		"public/page.HTML":       "text/html; charset=utf-8",
		"public/picture.png":     "image/png",
		"public/no.extension.":   "application/octet-stream",
		"public/Makefile":        "application/octet-stream",
		"public/dir.log/content": "application/octet-stream",
		"":                       "application/octet-stream",
	}
	for name, want := range tests {
		if got := ContentType(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

func TestContentEncoding(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"public/target.zip":    Identity,
		"public/target.ZIP":    Identity,
		"public/target.tar.gz": Identity,
		"public/a.whl":         Identity,
		"public/a.lz4":         Identity,
		"public/a.br":          Identity,
		"public/a.log":         Gzip,
		"public/a.zip.txt":     Gzip,
		"public/zip":           Gzip,
		"public/a.":            Gzip,
		"":                     Gzip,
	}
	for name, want := range tests {
		if got := ContentEncoding(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}
