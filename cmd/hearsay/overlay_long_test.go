//go:build long && linux && !race

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// buildChanged builds the programs with a file of the standard library changed: a
// sync that takes long, a clock that is off. It returns their directory.
func buildChanged(t *testing.T, name string, oldnew ...string) string {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(strings.TrimSpace(string(root)), "src", name)
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := string(src)
	for i := 0; i < len(oldnew); i += 2 {
		if oldnew[i] == "" { // at the end
			changed += oldnew[i+1]
			continue
		}
		if strings.Count(changed, oldnew[i]) != 1 {
			t.Fatalf("%s has not one %q", filepath.Base(file), oldnew[i])
		}
		changed = strings.Replace(changed, oldnew[i], oldnew[i+1], 1)
	}
	dir := t.TempDir()
	other := filepath.Join(dir, filepath.Base(file))
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{file: other}})
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{other: []byte(changed), filepath.Join(dir, "overlay.json"): overlay} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", dir+string(filepath.Separator), "hearsay/cmd/...").CombinedOutput()
	if err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return dir
}

// useBuild has the test run programs that were built so.
func useBuild(t *testing.T, name string, oldnew ...string) {
	t.Helper()
	dir, before := buildChanged(t, name, oldnew...), bin
	bin = dir
	t.Cleanup(func() { bin = before })
}
