package config

import (
	"runtime"
	"runtime/debug"
)

// Build is what a binary knows of itself.
type Build struct {
	Version   string `json:"version"`            // of the module, "(devel)" if it has none
	Revision  string `json:"revision,omitempty"` // of the sources
	Modified  bool   `json:"modified"`           // whether the sources differed from the revision
	Time      string `json:"time,omitempty"`     // of the revision, in RFC 3339
	GoVersion string `json:"goVersion"`
	OS        string `json:"os"`
	Arch      string `json:"arch"`
}

// ReadBuild returns what this binary was built from.
func ReadBuild() Build {
	b := Build{Version: "(devel)", GoVersion: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
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
