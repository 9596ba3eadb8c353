// Package cmd_test guards the rules that hold for the whole tree: who may
// import whom, that references to specifications resolve, and that
// domain-separation labels are unique.
package cmd_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// listed is what `go list` tells of a package.
type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func list(t *testing.T, args ...string) map[string]listed {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,Deps"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	ps := map[string]listed{}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for dec.More() {
		var p listed
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		ps[p.ImportPath] = p
	}
	return ps
}

// layer returns the top-level folder of one of our packages.
func layer(path string) (string, bool) {
	rest, ok := strings.CutPrefix(path, "hearsay/")
	if !ok {
		return "", false
	}
	top, _, _ := strings.Cut(rest, "/")
	return top, true
}

// TestArrows checks cmd → tui → chat → circuit → directory and relay →
// circuit, directory. chat may import relay/mailbox for its wire types, and
// nothing else of relay.
func TestArrows(t *testing.T) {
	allowed := map[string][]string{
		"cmd":       {"cmd", "tui", "chat", "relay", "circuit", "directory"},
		"tui":       {"tui", "chat"},
		"chat":      {"chat", "circuit", "directory"},
		"relay":     {"relay", "circuit", "directory"},
		"circuit":   {"circuit", "directory"},
		"directory": {"directory"},
	}
	for path, p := range list(t, "hearsay/...") {
		from, _ := layer(path)
		if allowed[from] == nil {
			t.Errorf("%s lies in a folder that the layout does not know", path)
		}
		for _, imp := range p.Imports {
			to, ours := layer(imp)
			if !ours || slices.Contains(allowed[from], to) {
				continue
			}
			if path == "hearsay/chat" && imp == "hearsay/relay/mailbox" {
				continue
			}
			t.Errorf("%s imports %s: against the arrows", path, imp)
		}
	}
}

// TestPurePackages bans I/O, clocks' owners and goroutine helpers from the pure
// packages. log/slog stays allowed: secrets implement its LogValuer to be redacted.
func TestPurePackages(t *testing.T) {
	banned := []string{"net", "os", "log", "context", "github.com/quic-go/quic-go", "go.etcd.io/bbolt", "sync/errgroup"}
	for _, path := range []string{"hearsay/circuit/cell", "hearsay/circuit/credit", "hearsay/circuit/onion", "hearsay/circuit/path", "hearsay/directory", "hearsay/directory/sybil", "hearsay/chat/session"} {
		for _, imp := range list(t, path)[path].Imports {
			if slices.Contains(banned, imp) {
				t.Errorf("%s imports %s, but does no I/O", path, imp)
			}
		}
	}
}

// TestProgramsLinkOnlyTheirs keeps screens and messages out of relays and
// directories, and pins what the interface of tui may see.
func TestProgramsLinkOnlyTheirs(t *testing.T) {
	ps := list(t, "hearsay/...")
	for _, path := range []string{"hearsay/cmd/hearsay-relay", "hearsay/cmd/hearsay-directory"} {
		for _, dep := range ps[path].Deps {
			if dep == "hearsay/tui" || dep == "hearsay/chat" || strings.HasPrefix(dep, "hearsay/chat/") || strings.Contains(dep, "bubbletea") {
				t.Errorf("%s links %s: only hearsay shows screens and holds messages", path, dep)
			}
		}
	}
	for _, imp := range ps["hearsay/tui"].Imports {
		if strings.Contains(imp, "quic") || strings.Contains(imp, "noise") || imp == "net" || imp == "os" {
			t.Errorf("tui imports %s: it does no I/O", imp)
		}
	}
	for _, dep := range ps["hearsay/directory/gossip"].Deps {
		if strings.Contains(dep, "quic-go") {
			t.Errorf("directory/gossip links %s: it takes streams", dep)
		}
	}
}

// sources returns the Go files of the tree, by path from its root.
func sources(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != ".." {
			if err == nil {
				err = filepath.SkipDir
			}
			return err
		}
		if strings.HasSuffix(path, ".go") {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			files[filepath.ToSlash(path[3:])] = string(b)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestSpecReferences resolves each "SPEC.md §n.m" in the code to a numbered
// heading of the package's own SPEC.md, or of the one whose path it names.
func TestSpecReferences(t *testing.T) {
	ref := regexp.MustCompile(`((?:[a-z]+/)*)SPEC\.md §([0-9]+(?:\.[0-9]+)*)((?:, §[0-9]+(?:\.[0-9]+)*)*)`)
	more := regexp.MustCompile(`§([0-9]+(?:\.[0-9]+)*)`)
	heading := regexp.MustCompile(`(?m)^#+ ([0-9]+(?:\.[0-9]+)*)\.? `)
	headings := map[string][]string{}
	for file, text := range sources(t) {
		for _, m := range ref.FindAllStringSubmatch(text, -1) {
			dir := strings.TrimSuffix(m[1], "/")
			if dir == "" {
				dir = filepath.ToSlash(filepath.Dir(file))
			}
			if _, ok := headings[dir]; !ok {
				b, err := os.ReadFile(filepath.Join("..", dir, "SPEC.md"))
				if err != nil {
					t.Errorf("%s refers to %s/SPEC.md, which does not exist", file, dir)
				}
				headings[dir] = []string{}
				for _, h := range heading.FindAllStringSubmatch(string(b), -1) {
					headings[dir] = append(headings[dir], h[1])
				}
			}
			want := []string{m[2]}
			for _, x := range more.FindAllStringSubmatch(m[3], -1) {
				want = append(want, x[1])
			}
			for _, w := range want {
				if !slices.Contains(headings[dir], w) {
					t.Errorf("%s refers to %s/SPEC.md §%s, which does not exist", file, dir, w)
				}
			}
		}
	}
}

// TestLabelsUnique demands that no two domain-separation labels are equal and
// that all live in labels.go files.
func TestLabelsUnique(t *testing.T) {
	label := regexp.MustCompile(`"hearsay/1 [^"]*"`)
	seen := map[string]string{}
	for file, text := range sources(t) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, l := range label.FindAllString(text, -1) {
			if filepath.Base(file) != "labels.go" {
				t.Errorf("%s holds the label %s: labels live in labels.go", file, l)
			}
			if other, ok := seen[l]; ok {
				t.Errorf("the label %s is in %s and in %s", l, other, file)
			}
			seen[l] = file
		}
	}
	if len(seen) < 5 {
		t.Errorf("found %d labels: the search is broken", len(seen))
	}
}

// TestPackageNamesKnown checks that the errors that people read are rid of the
// name of each package: both lists hold all of them.
func TestPackageNamesKnown(t *testing.T) {
	for _, file := range []string{"program/program.go", "../chat/plain.go"} {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m := regexp.MustCompile(`packageNames = .*\(\?:([a-z|]+)\): `).FindSubmatch(src)
		if m == nil {
			t.Fatalf("%s: no list", file)
		}
		names := strings.Split(string(m[1]), "|")
		for path := range list(t, "hearsay/...") {
			if top, _ := layer(path); top == "cmd" {
				continue
			}
			if name := filepath.Base(path); !slices.Contains(names, name) {
				t.Errorf("%s does not know package %s", file, name)
			}
		}
	}
}
