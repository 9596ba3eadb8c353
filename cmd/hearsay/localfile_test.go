package main

import (
	"os"
	"path/filepath"
	"slices"
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

// TestCompletePath completes what is typed, and leaves it as it was typed.
func TestCompletePath(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Chdir(dir)
	for _, name := range []string{"plan a.pdf", "plans/b.txt", ".hidden", "pl\x1b[2J"} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for typed, want := range map[string][]string{
		"": {"plan a.pdf", "plans/"}, "pl": {"plan a.pdf", "plans/"}, "plans/": {"plans/b.txt"}, "~": {"~/"}, "~/plans": {"~/plans/"},
		".h": {".hidden"}, dir + "/plan ": {dir + "/plan a.pdf"}, "no": nil, "no/where": nil,
	} {
		if got := completePath(typed); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", typed, got, want)
		}
	}
}
