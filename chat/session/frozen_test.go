package session

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFrozenFiles compares the vectors with the sums that were written down when
// they were checked (`sha256sum -c SHA256SUMS` does the same). -update does not
// touch the sums: who makes other bytes has to say so, since sessions, links and
// blocks that are in use have the old ones.
func TestFrozenFiles(t *testing.T) {
	want := map[string]string{}
	for line := range strings.Lines(string(must(os.ReadFile("testdata/SHA256SUMS")))) {
		if f := strings.Fields(line); len(f) == 2 {
			want[f[1]] = f[0]
		}
	}
	got := map[string]string{}
	err := filepath.WalkDir("testdata", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".json" {
			return err
		}
		b, err := os.ReadFile(path)
		sum := sha256.Sum256(b)
		got[filepath.ToSlash(strings.TrimPrefix(path, "testdata"+string(filepath.Separator)))] = hex.EncodeToString(sum[:])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range maps.Keys(want) {
		if got[name] != want[name] {
			t.Errorf("%s has other bytes than those that were frozen", name)
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("%s is not frozen", name)
	}
}
