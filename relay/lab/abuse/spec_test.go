package abuse

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestAbuseTablesNameTests: each test that the tables of limits name exists.
func TestAbuseTablesNameTests(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	tests := make(map[string]bool)
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	for _, dir := range []string{"circuit", "relay"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			b, err := os.ReadFile(path)
			for _, m := range declared.FindAllSubmatch(b, -1) {
				tests[string(m[1])] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	named := regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w+`)
	for _, spec := range []string{"circuit/link/SPEC.md", "relay/SPEC.md"} {
		b, err := os.ReadFile(filepath.Join(root, spec))
		if err != nil {
			t.Fatal(err)
		}
		_, table, ok := strings.Cut(string(b), "Abuse tests\n")
		names := named.FindAllString(table, -1)
		if !ok || len(names) < 20 {
			t.Fatalf("%s has no table of tests", spec)
		}
		for _, name := range names {
			if !tests[name] {
				t.Errorf("%s names %s, which does not exist", spec, name)
			}
		}
	}
}
