package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// ofComputer are settings that differ between computers and change no byte.
var ofComputer = []string{"PATH", "HOME", "TMPDIR", "USERPROFILE", "SYSTEMROOT", "TEMP", "GOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE", "GOMODCACHE", "GOTOOLCHAIN", "GOCACHE"}

// provenance writes of what, by what and how the programs were built: enough to
// build them without this command. It is no proof but a claim that anybody can test.
func (e *env) provenance(dir, compiler string, all []built) error {
	var b strings.Builder
	fmt.Fprintf(&b, "hearsay %s\n\ncommit     %s\ncommitted  %s\ncompiler   %s\n", e.version, e.revision, e.when.Format(time.RFC3339), compiler)
	b.WriteString("\nSettings, the same for all programs:\n\n")
	for _, v := range e.vars {
		if name, _, _ := strings.Cut(v, "="); !slices.Contains(ofComputer, name) {
			fmt.Fprintf(&b, "  %s\n", v)
		}
	}
	b.WriteString("\nCommands, in a clone of the commit:\n\n")
	for _, p := range all {
		goos, goarch, _ := strings.Cut(p.platform, "/")
		var words []string
		for _, w := range buildCommand {
			if strings.Contains(w, " ") {
				w = "'" + w + "'"
			}
			words = append(words, w)
		}
		fmt.Fprintf(&b, "  GOOS=%s GOARCH=%s go %s ./cmd/%s\n", goos, goarch, strings.Join(words, " "), strings.TrimSuffix(p.name, ".exe"))
	}
	b.WriteString("\nSHA-256 of the programs:\n\n")
	for _, p := range all {
		fmt.Fprintf(&b, "  %s  %s %s\n", p.sha256, p.platform, p.name)
	}
	return os.WriteFile(filepath.Join(dir, "hearsay_"+e.version+"_provenance.txt"), []byte(b.String()), 0o644)
}
