package payload

import (
	"encoding/base64"

	"github.com/taskcluster/generic-worker/payload/paths"
)

// Mount is something that is put into the task directory before the first
// command: a file, a writable cache, or a directory that is filled from an
// archive. Exactly one of File and Directory is set.
type Mount struct {
	// File and Directory are paths relative to the task directory, of which "." is
	// the directory itself, or absolute. They have slashes and no detours.
	File      string
	Directory string
	CacheName string // set for a writable cache, which is a Directory
	// Content is what the file or directory begins with; nil for a cache that
	// begins empty.
	Content *Content
	// Format is how a File is compressed, or the kind of archive a Directory is
	// filled from; empty for a File as it is and for a cache without Content.
	Format string
}

// Content is where the bytes of a mount come from: an artifact of a task (TaskID
// and Artifact), an indexed one (Namespace and Artifact), a download (URL), or
// the payload itself (Inline).
type Content struct {
	TaskID    string
	Namespace string
	Artifact  string
	URL       string
	// Inline is the decoded text of "raw" or data of "base64"; it is not nil
	// if the content is in the payload, even if it is empty. It can be a
	// secret: nothing shows it.
	Inline []byte
	SHA256 string // declared, in lower-case hexadecimal; empty if none was
}

// wireMount is a mount as JSON spells it.
type wireMount struct {
	File      string       `json:"file"`
	Directory string       `json:"directory"`
	CacheName string       `json:"cacheName"`
	Content   *wireContent `json:"content"`
	Format    string       `json:"format"`
}

type wireContent struct {
	TaskID    string  `json:"taskId"`
	Namespace string  `json:"namespace"`
	Artifact  string  `json:"artifact"`
	URL       string  `json:"url"`
	SHA256    string  `json:"sha256"`
	Raw       *string `json:"raw"`
	Base64    *string `json:"base64"`
}

// mount decodes what was checked; windows tells how paths are read.
func (w wireMount) mount(windows bool) (Mount, error) {
	m := Mount{CacheName: w.CacheName, Format: w.Format}
	if w.File != "" {
		m.File, _ = paths.Clean(w.File, windows)
	}
	if w.Directory != "" {
		m.Directory, _ = paths.Clean(w.Directory, windows)
	}
	c := w.Content
	if c == nil {
		return m, nil
	}
	m.Content = &Content{TaskID: c.TaskID, Namespace: c.Namespace, Artifact: c.Artifact, URL: c.URL, SHA256: c.SHA256}
	switch {
	case c.Raw != nil:
		m.Content.Inline = []byte(*c.Raw)
	case c.Base64 != nil:
		data, err := base64.StdEncoding.DecodeString(*c.Base64)
		if err != nil {
			return Mount{}, err
		}
		m.Content.Inline = append([]byte{}, data...)
	}
	return m, nil
}
