package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// check makes a release twice: with what is compiled already, and in another
// directory with nothing compiled before. All bytes must be alike.
func check(revision string, targets []string) error {
	// A branch may move on between the two.
	if !versions.MatchString(revision) {
		commit, err := exec.Command("git", "rev-parse", "--verify", "--quiet", revision+"^{commit}").Output()
		if err != nil {
			return fmt.Errorf("there is no revision %s", revision)
		}
		revision = strings.TrimSpace(string(commit))
	}
	work, err := os.MkdirTemp("", "hearsay-check-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	first, second := filepath.Join(work, "first"), filepath.Join(work, "again")
	if err := build(revision, first, targets, ""); err != nil {
		return err
	}
	// The clone of the second lies in a directory of another name and length.
	deeper := filepath.Join(work, "a directory elsewhere")
	if err := os.Mkdir(deeper, 0o755); err != nil {
		return err
	}
	os.Setenv("TMPDIR", deeper)
	if err := build(revision, second, targets, filepath.Join(work, "cache")); err != nil {
		return err
	}
	return compare(first, second)
}

// compare prints the sums of two releases and fails if one differs.
func compare(first, second string) error {
	a, err := os.ReadFile(filepath.Join(first, "SHA256SUMS"))
	if err != nil {
		return err
	}
	b, err := os.ReadFile(filepath.Join(second, "SHA256SUMS"))
	if err != nil {
		return err
	}
	var differ []string
	for _, line := range strings.Split(strings.TrimSpace(string(a)), "\n") {
		_, name, _ := strings.Cut(line, "  ")
		one, err1 := os.ReadFile(filepath.Join(first, name))
		two, err2 := os.ReadFile(filepath.Join(second, name))
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		word := "same"
		if !bytes.Equal(one, two) {
			word = "DIFFERS"
			differ = append(differ, name)
		}
		fmt.Printf("%-8s%s  %8d KiB\n", word, line, (len(one)+1023)/1024)
	}
	if len(differ) > 0 || !bytes.Equal(a, b) {
		return fmt.Errorf("not the same bytes: %s", strings.Join(differ, ", "))
	}
	return nil
}
