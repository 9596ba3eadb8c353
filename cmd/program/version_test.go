package program

import (
	"runtime/debug"
	"strings"
	"testing"
)

// TestVersionFromEveryKindOfBuild: a release, a checkout with and without changes,
// a source archive, and a build that recorded nothing.
func TestVersionFromEveryKindOfBuild(t *testing.T) {
	const commit = "433b593012345678901234567890123456789012"
	checkout := []debug.BuildSetting{{Key: "vcs.revision", Value: commit}, {Key: "vcs.modified", Value: "false"}}
	changed := []debug.BuildSetting{{Key: "vcs.revision", Value: commit}, {Key: "vcs.modified", Value: "true"}}
	const unfilled = "$Format:%(describe:tags,match=v*)$\n$Format:%H$\n"
	for _, c := range []struct {
		module   string
		settings []debug.BuildSetting
		archived string
		version  string
		revision string
	}{
		{"v1.2.0", checkout, unfilled, "v1.2.0", commit},
		{"(devel)", checkout, unfilled, "development-433b59301234", commit},
		{"(devel)", changed, unfilled, "development-433b59301234+changes", commit + "+changes"},
		{"v1.2.0", nil, unfilled, "v1.2.0", ""},
		{"(devel)", nil, unfilled, "development", ""},
		{"", nil, "v1.2.0\n" + commit + "\n", "v1.2.0", commit},
		{"(devel)", nil, "v1.2.0-3-g433b593\n" + commit + "\n", "v1.2.0-3-g433b593", commit},
		{"(devel)", nil, "\n" + commit + "\n", "development-433b59301234", commit},  // no tag yet
		{"(devel)", checkout, "v0.9.0\n0000\n", "development-433b59301234", commit}, // unpacked into a checkout
	} {
		info := &debug.BuildInfo{Settings: c.settings}
		info.Main.Version = c.module
		version, revision := versionOf(info, c.archived)
		if version != c.version || revision != c.revision {
			t.Errorf("%q %v %q: %s, %s; want %s, %s", c.module, c.settings, c.archived, version, revision, c.version, c.revision)
		}
	}
	if archived != unfilled && strings.Contains(archived, "$") {
		t.Errorf("archived.txt is half filled: %q", archived)
	}
	text := about("hearsay", &debug.BuildInfo{}, unfilled)
	if lines := strings.Split(text, "\n"); len(lines) != 4 || lines[0] != "hearsay development" || lines[1] != "revision not recorded" || !strings.HasPrefix(lines[2], "built with go1.") {
		t.Errorf("%q", text)
	}
}
