package artifact

import (
	"mime"
	"path"
	"strings"
)

// ContentType returns the media type a file of this name is given when the
// task names none, by its extension in any case: the well-known ones, then
// the machine's table, then application/octet-stream.
func ContentType(name string) string {
	ext := strings.ToLower(path.Ext(name))
	switch ext {
	case ".log":
		return "text/plain"
	case ".jsonl":
		return "application/jsonl"
	}
	if found := mime.TypeByExtension(ext); found != "" {
		return found
	}
	return "application/octet-stream"
}

// ContentEncoding returns Identity for names whose extension, in any case,
// promises content that does not compress, and Gzip for all others.
func ContentEncoding(name string) string {
	switch strings.ToLower(strings.TrimPrefix(path.Ext(name), ".")) {
	case "7z", "aab", "apk", "br", "bz2", "deb", "dmg", "flv", "gif", "gz", "jar", "jpeg", "jpg", "lz", "lz4",
		"mz", "npz", "pkg", "png", "swf", "sz", "tbz", "tgz", "wasm", "webp", "whl", "woff", "woff2", "xpi",
		"xz", "zip", "zst", "zz":
		return Identity
	}
	return Gzip
}

// headerValue tells whether a text can be sent as one HTTP header, and is short enough for the queue.
func headerValue(text string) bool {
	if text == "" || len(text) > 255 {
		return false
	}
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}
