// Package buildinfo says which build of Stile is running, from what the Go tool wrote into the program. It takes no
// linker flags, so `go install` and `make build` name themselves alike, and it holds nothing about the machine.
package buildinfo

import (
	"runtime/debug"
	"strings"
)

// revisionLen is how many hexadecimal digits of a commit are shown.
const revisionLen = 12

// Version returns the version for people and for the node link: a tag such as "v1.2.0" for a released module, else
// "devel-" and the commit, with "-modified" when the tree had changes; "devel" when the program was built without
// either (a test binary, or -buildvcs=false).
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	return version(info)
}

func version(info *debug.BuildInfo) string {
	// The Go tool makes a pseudo-version, v0.0.0-date-commit, out of an untagged tree: the commit alone says as much.
	tag, _, _ := strings.Cut(info.Main.Version, "+")
	if strings.HasPrefix(tag, "v") && !strings.HasPrefix(tag, "v0.0.0-") {
		return info.Main.Version
	}
	var revision, modified string
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = "-" + s.Value[:min(len(s.Value), revisionLen)]
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = "-modified"
		}
	}
	if revision == "" {
		return "devel"
	}
	return "devel" + revision + modified
}
