// Package build says what this binary was built from.
package build

import (
	"runtime"
	"runtime/debug"
)

// Info is what a binary knows of itself.
type Info struct {
	Version   string `json:"version"`            // of the module, "(devel)" if it has none
	Revision  string `json:"revision,omitempty"` // of the sources
	Modified  bool   `json:"modified"`           // whether the sources differed from the revision
	Time      string `json:"time,omitempty"`     // of the revision, in RFC 3339
	GoVersion string `json:"goVersion"`
	OS        string `json:"os"`
	Arch      string `json:"arch"`
}

// Read returns what this binary was built from.
func Read() Info {
	b := Info{Version: "(devel)", GoVersion: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			b.Revision = setting.Value
		case "vcs.modified":
			b.Modified = setting.Value == "true"
		case "vcs.time":
			b.Time = setting.Value
		}
	}
	return b
}
