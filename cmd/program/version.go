package program

import (
	_ "embed"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// archived holds two lines that `git archive` fills in, with the nearest tag and
// the commit: a build from a source archive has nothing else to know them by.
//
//go:embed archived.txt
var archived string

// Version returns the version that the build recorded: the module version, or
// the commit of a build from a checkout.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	version, _ := versionOf(info, archived)
	return version
}

// versionOf returns the version, and the revision if it is known, of a build.
func versionOf(info *debug.BuildInfo, archived string) (version, revision string) {
	dirty := ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+changes"
		}
	}
	tag := ""
	if revision == "" && !strings.Contains(archived, "$Format") {
		tag, revision, _ = strings.Cut(strings.TrimRight(archived, "\n"), "\n")
	}
	version = info.Main.Version
	switch {
	case version != "" && version != "(devel)":
	case tag != "":
		version = tag
	case revision != "":
		version = "development-" + revision[:min(12, len(revision))] + dirty
	default:
		version = "development"
	}
	return version, revision + dirty
}

// about returns what `version` prints of a program.
func about(name string, info *debug.BuildInfo, archived string) string {
	version, revision := versionOf(info, archived)
	if revision == "" {
		revision = "not recorded"
	}
	return fmt.Sprintf("%s %s\nrevision %s\nbuilt with %s for %s/%s\n", name, version, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// VersionCommand returns the version command of a program.
func VersionCommand(name string) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print version, revision and Go version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			info, ok := debug.ReadBuildInfo()
			if !ok {
				info = &debug.BuildInfo{}
			}
			_, err := fmt.Fprint(cmd.OutOrStdout(), about(name, info, archived))
			return err
		},
	}
}
