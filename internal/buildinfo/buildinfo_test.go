package buildinfo

import (
	"runtime/debug"
	"testing"
)

func TestVersion(t *testing.T) {
	commit := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef0123456789abcdef01234567"}
	changed := debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	unchanged := debug.BuildSetting{Key: "vcs.modified", Value: "false"}
	for _, c := range []struct {
		name, version string
		settings      []debug.BuildSetting
		want          string
	}{
		{"released", "v1.2.0", nil, "v1.2.0"},
		{"released, changed since", "v1.2.0+dirty", []debug.BuildSetting{commit, changed}, "v1.2.0+dirty"},
		{"untagged tree", "v0.0.0-20261123150900-0123456789ab", []debug.BuildSetting{commit, unchanged}, "devel-0123456789ab"},
		{"changed tree", "(devel)", []debug.BuildSetting{changed, commit}, "devel-0123456789ab-modified"},
		{"no version control", "(devel)", nil, "devel"},
		{"test binary", "", nil, "devel"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := version(&debug.BuildInfo{Main: debug.Module{Version: c.version}, Settings: c.settings})
			if got != c.want {
				t.Errorf("version = %q, want %q", got, c.want)
			}
		})
	}
	if got := Version(); got == "" {
		t.Error("Version() is empty")
	}
}
