package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// env is a clone at one revision, and the settings with which all is built.
type env struct {
	dir      string
	vars     []string
	version  string
	revision string
	when     time.Time // of the commit
}

// gitSettings keep git from changing files, from running what it is told to run
// here, and from saying more than is asked.
var gitSettings = []struct{ key, value string }{
	{"core.autocrlf", "false"},
	{"core.eol", "lf"},
	{"core.attributesFile", os.DevNull},
	{"core.hooksPath", os.DevNull},
	{"core.abbrev", "12"},
	{"core.fsmonitor", "false"},
	{"log.showSignature", "false"},
}

// settle names each setting of Go that reaches what is built, at the value it has by
// default or in go.mod, so that those of this computer do not count. Where modules
// come from may differ: go.sum says what they are.
func settle(cache string) ([]string, error) {
	var vars []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "USERPROFILE", "SYSTEMROOT", "TEMP"} {
		if v, ok := os.LookupEnv(name); ok {
			vars = append(vars, name+"="+v)
		}
	}
	for _, name := range []string{"GOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE", "GOMODCACHE", "GOTOOLCHAIN"} {
		out, err := exec.Command("go", "env", name).Output()
		if err != nil {
			return nil, fmt.Errorf("go env: %w", err)
		}
		vars = append(vars, name+"="+strings.TrimSpace(string(out)))
	}
	vars = append(vars, "GOENV=off", "GOFLAGS=-mod=readonly", "GOWORK=off", "GOEXPERIMENT=", "GOFIPS140=off", "CGO_ENABLED=0",
		"GOAMD64=v1", "GOARM64=v8.0", "LC_ALL=C", "TZ=UTC")
	vars = append(vars, fmt.Sprintf("GIT_CONFIG_COUNT=%d", len(gitSettings)))
	for i, s := range gitSettings {
		vars = append(vars, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, s.key), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, s.value))
	}
	if cache != "" {
		vars = append(vars, "GOCACHE="+cache)
	}
	return vars, nil
}

// clone makes a clone of the repository here in dir, at a revision.
func clone(revision, dir, cache string) (*env, error) {
	vars, err := settle(cache)
	if err != nil {
		return nil, err
	}
	e := &env{dir: dir, vars: vars}
	here, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	e.dir = here
	root, err := e.output("git", "rev-parse", "--show-toplevel")
	if err != nil {
		return nil, err
	}
	e.dir = strings.TrimSpace(root)
	commit, err := e.output("git", "rev-parse", "--verify", "--quiet", revision+"^{commit}")
	if err != nil {
		return nil, fmt.Errorf("there is no revision %s", revision)
	}
	e.revision = strings.TrimSpace(commit)
	if _, err := e.output("git", "clone", "--quiet", "--no-hardlinks", "--no-checkout", e.dir, dir); err != nil {
		return nil, err
	}
	e.dir = dir
	if _, err := e.output("git", "checkout", "--quiet", "--detach", e.revision); err != nil {
		return nil, err
	}
	at, err := e.output("git", "show", "-s", "--format=%ct", e.revision)
	if err != nil {
		return nil, err
	}
	seconds, err := strconv.ParseInt(strings.TrimSpace(at), 10, 64)
	if err != nil {
		return nil, err
	}
	e.when = time.Unix(seconds, 0).UTC()
	e.vars = append(e.vars, "SOURCE_DATE_EPOCH="+strconv.FormatInt(seconds, 10))
	return e, e.pinned()
}

// pinned makes sure that Go is the one that go.mod asks for.
func (e *env) pinned() error {
	mod, err := os.ReadFile(filepath.Join(e.dir, "go.mod"))
	if err != nil {
		return err
	}
	_, rest, ok := strings.Cut(string(mod), "\ntoolchain ")
	want, _, _ := strings.Cut(rest, "\n")
	have, err := e.output("go", "env", "GOVERSION")
	if err != nil {
		return err
	}
	if have = strings.TrimSpace(have); !ok || have != want {
		return fmt.Errorf("this is %s, and go.mod says %q: releases are built with that one", have, want)
	}
	return nil
}

// output runs a command in the clone and returns what it prints.
func (e *env) output(name string, args ...string) (string, error) {
	return e.with(nil, name, args...)
}

// with runs a command in the clone with more settings.
func (e *env) with(vars []string, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = e.dir, append(e.vars[:len(e.vars):len(e.vars)], vars...)
	out, err := cmd.Output()
	if err != nil {
		var x *exec.ExitError
		if errors.As(err, &x) {
			return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(x.Stderr)))
		}
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return string(out), nil
}
