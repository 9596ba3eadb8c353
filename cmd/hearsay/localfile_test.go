package main

import (
	"os"
	"path/filepath"
	"testing"

	"hearsay/tui"
)

// TestLocalFile names files as people and terminals do.
func TestLocalFile(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Chdir(dir)
	plan := filepath.Join(dir, "the plan.pdf")
	if err := os.WriteFile(plan, make([]byte, 1234), 0o600); err != nil {
		t.Fatal(err)
	}
	want := tui.LocalFile{Path: plan, Exists: true, Regular: true, InDirectory: true, Size: 1234}
	for _, path := range []string{plan, "the plan.pdf", "~/the plan.pdf", "'the plan.pdf'", `"` + plan + `"`, `the\ plan.pdf`} {
		if got, err := localFile(path); err != nil || got != want {
			t.Errorf("%s: %+v, %v", path, got, err)
		}
	}
	for path, want := range map[string]tui.LocalFile{
		"~":         {Path: dir, Exists: true, Directory: true, InDirectory: true},
		"new.pdf":   {Path: filepath.Join(dir, "new.pdf"), InDirectory: true},
		"no/a.pdf":  {Path: filepath.Join(dir, "no", "a.pdf")},
		"/dev/null": {Path: "/dev/null", Exists: true, InDirectory: true},
	} {
		if got, err := localFile(path); err != nil || got != want {
			t.Errorf("%s: %+v, %v", path, got, err)
		}
	}
}
