package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestArchivesTellNothingOfTheBuilder: the same files give the same bytes, whatever
// their order, and no owner or time but the commit's is in them.
func TestArchivesTellNothingOfTheBuilder(t *testing.T) {
	e := &env{when: time.Unix(1_790_000_000, 0).UTC()}
	files := []file{{"r/b", 0o755, []byte("program")}, {"r/a", 0o644, []byte("text")}}
	dir := t.TempDir()
	for _, write := range []func(string, []file) error{e.tar, e.zip} {
		one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
		if err := write(one, files); err != nil {
			t.Fatal(err)
		}
		turned := slices.Clone(files)
		slices.Reverse(turned)
		if err := write(two, turned); err != nil {
			t.Fatal(err)
		}
		a, err1 := os.ReadFile(one)
		b, err2 := os.ReadFile(two)
		if err := errors.Join(err1, err2); err != nil || !bytes.Equal(a, b) {
			t.Errorf("two archives of the same files differ: %v", err)
		}
		for _, bad := range []string{"r/a", "r/a/c", "r", "/etc/passwd", "../x", "r//c", ""} {
			if err := write(two, append(files[:2:2], file{bad, 0o644, nil})); err == nil {
				t.Errorf("%q is taken", bad)
			}
		}
	}
	if err := e.tar(filepath.Join(dir, "t"), files); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(dir, "t"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil || !z.ModTime.IsZero() || z.Name != "" {
		t.Fatalf("%v %v %q", err, z.ModTime, z.Name)
	}
	r := tar.NewReader(z)
	var names []string
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" || !h.ModTime.Equal(e.when) {
			t.Errorf("%s: %+v", h.Name, h)
		}
	}
	if !slices.Equal(names, []string{"r/a", "r/b"}) {
		t.Errorf("%v", names)
	}
}

func TestLicencesAreKnown(t *testing.T) {
	const redistribution = "Redistribution and use in source and binary forms, with or without\nmodification, are permitted"
	for text, want := range map[string]string{
		"Apache License\n  Version 2.0, January 2004": "Apache-2.0",
		"Mozilla Public License Version 2.0\n1.1":     "MPL-2.0",
		redistribution: "BSD-2-Clause",
		redistribution + " * Neither the name\nof the": "BSD-3-Clause",
		"Permission is hereby granted, free of charge, to any person\nobtaining a copy ... THE SOFTWARE IS PROVIDED \"AS IS\"": "MIT",
		"GNU GENERAL PUBLIC LICENSE": "",
		"":                           "",
	} {
		if got := identify([]byte(text)); got != want {
			t.Errorf("%.40q is %q, want %q", text, got, want)
		}
	}
	dir := t.TempDir()
	if _, err := licences(dir); err == nil {
		t.Error("a module without a licence passes")
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("LICENSE.txt", "Apache License Version 2.0")
	write("NOTICE", "made by somebody")
	write("inner/COPYING", redistribution)
	write("inner/deep/code.go", "package deep")
	write("pictures/LICENSE", "only to be looked at")
	write("testdata/LICENSE", "not ours")
	write("license.go", "package x")
	all, err := licences(dir)
	if err != nil || len(all) != 3 || !slices.Equal(ids(all), []string{"Apache-2.0", "BSD-2-Clause"}) {
		t.Errorf("%v %v", all, err)
	}
	text := string(licenceText([]module{{path: "example.org/x", version: "v1.0.0", licences: all}}))
	for _, want := range []string{"example.org/x v1.0.0: NOTICE", "made by somebody", "example.org/x v1.0.0: inner/COPYING"} {
		if !strings.Contains(text, want) {
			t.Errorf("the texts do not have %q", want)
		}
	}
	write("COPYING", "You must give us your first-born")
	if _, err := licences(dir); err == nil {
		t.Error("a licence that nobody knows passes")
	}
}

// TestPartsOfAProgram: the list is the same for the same parts, names each once, and
// every reference in it leads to something.
func TestPartsOfAProgram(t *testing.T) {
	if got := purl("github.com/BurntSushi/toml", "v1.6.0+incompatible"); got != "pkg:golang/github.com/burntsushi/toml@v1.6.0%2Bincompatible" {
		t.Error(got)
	}
	lib := module{"github.com/BurntSushi/toml", "v1.6.0", "h1:x=", []licence{{"COPYING", "MIT", nil}}}
	std := module{path: "std", version: "1.26.8", licences: []licence{{"LICENSE", "BSD-3-Clause", nil}}}
	all := []built{{"linux/amd64", "hearsay", "aa", []module{lib, std}}, {"linux/amd64", "hearsay-relay", "bb", []module{lib, std}}}
	one, err := sbom("v0.1.0", "abc", "linux/amd64", "2026-11-22T00:00:00Z", all)
	if err != nil {
		t.Fatal(err)
	}
	two, err := sbom("v0.1.0", "abc", "linux/amd64", "2026-11-22T00:00:00Z", all)
	if err != nil || !bytes.Equal(one, two) {
		t.Errorf("two lists of the same parts differ: %v", err)
	}
	var b bom
	if err := json.Unmarshal(one, &b); err != nil {
		t.Fatal(err)
	}
	refs := []string{b.Metadata.Component.Ref}
	for _, c := range b.Components {
		if slices.Contains(refs, c.Ref) {
			t.Errorf("%s is there twice", c.Ref)
		}
		refs = append(refs, c.Ref)
		if len(c.Licences) == 0 || c.Purl == "" || c.Version == "" {
			t.Errorf("%+v", c)
		}
	}
	if len(b.Components) != 4 || len(b.Dependencies) != 3 {
		t.Errorf("%d components, %d dependencies", len(b.Components), len(b.Dependencies))
	}
	for _, d := range b.Dependencies {
		for _, ref := range append(d.DependsOn, d.Ref) {
			if !slices.Contains(refs, ref) {
				t.Errorf("%s leads nowhere", ref)
			}
		}
	}
	// This test is a program as well.
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	modules, err := linked(self)
	if err != nil || len(modules) != 1 || modules[0].path != "std" {
		t.Errorf("%v %v", modules, err)
	}
}

// TestSettingsOfTheBuilderDoNotCount: what changes programs is named, whatever the
// computer says.
func TestSettingsOfTheBuilderDoNotCount(t *testing.T) {
	for name, value := range map[string]string{"GOFLAGS": "-tags=x", "GOAMD64": "v4", "CGO_ENABLED": "1", "SECRET": "s", "GOFIPS140": "latest"} {
		t.Setenv(name, value)
	}
	vars, err := settle("/cache")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"GOFLAGS=-mod=readonly", "GOAMD64=v1", "CGO_ENABLED=0", "GOENV=off", "GOEXPERIMENT=", "GOFIPS140=off", "GOCACHE=/cache"} {
		if !slices.Contains(vars, want) {
			t.Errorf("%s is not set: %v", want, vars)
		}
	}
	if slices.ContainsFunc(vars, func(v string) bool { return strings.HasPrefix(v, "SECRET=") }) {
		t.Error("all of the environment is handed on")
	}
}

// TestProvenance: whoever has the statement can build the programs without this
// command, and nothing in it is of the computer that made it.
func TestProvenance(t *testing.T) {
	dir := t.TempDir()
	vars, err := settle("/somewhere/cache")
	if err != nil {
		t.Fatal(err)
	}
	e := &env{version: "v0.1.0", revision: "abc", when: time.Unix(1_790_000_000, 0).UTC(), vars: vars}
	if err := e.provenance(dir, "go1.26.8", []built{{"linux/arm64", "hearsay", "aa", nil}, {"windows/amd64", "hearsay.exe", "bb", nil}}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "hearsay_v0.1.0_provenance.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"commit     abc\n", "committed  2026-09-21T14:13:20Z\n", "compiler   go1.26.8\n", "CGO_ENABLED=0", "GOFLAGS=-mod=readonly",
		"GOOS=linux GOARCH=arm64 go build -trimpath -buildvcs=true '-ldflags=-s -w -buildid=' ./cmd/hearsay\n", "aa  linux/arm64 hearsay\n", "bb  windows/amd64 hearsay.exe\n",
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("there is no %q in\n%s", want, b)
		}
	}
	for _, own := range []string{"PATH=", "HOME=", "TMPDIR=", "GOCACHE=", "GOMODCACHE=", "GOPROXY=", os.Getenv("HOME")} {
		if own != "" && own != "/" && strings.Contains(string(b), own) {
			t.Errorf("%q is in\n%s", own, b)
		}
	}
}

// TestCloneIsAsCommitted: what git does to files and to its answers where it is told
// so, as many are under Windows, does not reach what is built.
func TestCloneIsAsCommitted(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	t.Setenv("GOENV", "off")
	t.Chdir(t.TempDir())
	git := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("git", append([]string{"-c", "user.name=x", "-c", "user.email=x@example.org"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	mod := "module x\n\ngo 1.26\n\ntoolchain " + runtime.Version() + "\n"
	if err := os.WriteFile("go.mod", []byte(mod), 0o644); err != nil {
		t.Fatal(err)
	}
	git("init", "-q")
	git("add", ".")
	git("commit", "-q", "-m", "first")
	hooks := filepath.Join(home, "hooks")
	hook := "#!/bin/sh\necho hook >\"" + filepath.ToSlash(filepath.Join(home, "ran")) + "\"\n"
	config := "[core]\n\tautocrlf = true\n\thooksPath = " + filepath.ToSlash(hooks) + "\n"
	err := errors.Join(os.Mkdir(hooks, 0o755), os.WriteFile(filepath.Join(hooks, "post-checkout"), []byte(hook), 0o755),
		os.WriteFile(filepath.Join(home, ".gitconfig"), []byte(config), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	e, err := clone("HEAD", filepath.Join(t.TempDir(), "clone"), "")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(e.dir, "go.mod")); err != nil || string(b) != mod {
		t.Errorf("go.mod has become %q, %v", b, err)
	}
	if _, err := os.Stat(filepath.Join(home, "ran")); err == nil {
		t.Error("a hook of the builder ran")
	}
}

// TestReleaseIsAnAnnotatedTag with notes of its own version.
func TestReleaseIsAnAnnotatedTag(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	git := func(input string, args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "user.name=x", "-c", "user.email=x@example.org"}, args...)...)
		cmd.Stdin = strings.NewReader(input)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	git("", "init", "-q")
	git("", "commit", "-q", "--allow-empty", "-m", "first")
	git("", "tag", "v0.1.0")
	git(good, "tag", "-a", "v0.2.0", "-F", "-")
	git(good, "tag", "-a", "v0.3.0", "-F", "-")
	git("hearsay v0.4.0\n\nQuick.\n", "tag", "-a", "v0.4.0", "-F", "-")
	if err := checkTag("v0.2.0"); err != nil {
		t.Error(err)
	}
	for tag, want := range map[string]string{"v0.1.0": "light tag", "v0.3.0": "another version", "v0.4.0": "not all sections", "v0.5.0": "no tag", "HEAD": "no name", "v1": "no name", "--help": "no name"} {
		if err := checkTag(tag); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", tag, err, want)
		}
	}
}

func TestArguments(t *testing.T) {
	for _, args := range [][]string{nil, {"build"}, {"build", "v0.1.0"}, {"check", "a", "b"}, {"notes"}, {"nosuch"}, {"check", "-targets", "linux"}, {"check", "-targets", ""}} {
		if err := run(args); err == nil {
			t.Errorf("%v is taken", args)
		}
	}
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{"build", "-untagged", "HEAD", full}); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a directory with files in it is taken: %v", err)
	}
}
