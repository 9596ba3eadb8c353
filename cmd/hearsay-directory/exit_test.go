package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"hearsay/cmd/program"
	"hearsay/directory"
	"hearsay/relay"
)

// exitCode runs the program in this process.
func exitCode(args ...string) int {
	cmd := root()
	cmd.SetArgs(args)
	cmd.SetOut(io.Discard)
	cmd.SetErr(io.Discard)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.Execute()
	if err == nil {
		return program.ExitOK
	}
	return program.Report(io.Discard, name, err)
}

func TestExitCodesOfTheCeremony(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := writeBadInput("."); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"pass": "four words or more", "wrong": "five words or more"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []struct {
		want int
		args []string
	}{
		{program.ExitOK, []string{"founder", "card", "--home", "anna", "--label", "anna", "--lab", "--listen", "127.0.0.1:4441", "--out", "anna.card"}},
		{program.ExitOK, []string{"founder", "card", "--home", "ben", "--label", "ben", "--lab", "--out", "ben.card"}},
		{program.ExitOK, []string{"founder", "card", "--home", "real", "--label", "real", "--listen", "192.9.200.7:4443", "--passphrase-file", "pass", "--out", "real.card"}},
		{program.ExitPassphrase, []string{"founder", "card", "--home", "x", "--label", "x"}},
		{program.ExitUsage, []string{"founder", "card", "--home", "x"}},
		{program.ExitRefused, []string{"founder", "card", "--home", "x", "--label", "x", "--listen", "127.0.0.1:1", "--passphrase-file", "pass"}},
		{program.ExitRefused, []string{"founder", "draft", "noproof.card", "--name", "n", "--lab"}},
		{program.ExitRefused, []string{"founder", "draft", "anna.card", "anna.card", "--name", "n", "--lab"}},
		{program.ExitRefused, []string{"founder", "draft", "anna.card", "--name", "n"}},
		{program.ExitNotFound, []string{"founder", "draft", "nobody.card", "--name", "n", "--lab"}},
		{program.ExitUsage, []string{"founder", "draft", "pass", "--name", "n", "--lab"}},
		{program.ExitUsage, []string{"founder", "draft"}},
		{program.ExitOK, []string{"founder", "draft", "anna.card", "ben.card", "--name", "n", "--lab"}},
		{program.ExitOK, []string{"founder", "draft", "real.card", "--name", "real", "--out", "real.draft"}},
		{program.ExitRefused, []string{"founder", "draft", "real.card", "--name", "real", "--out", "real.draft"}},
		{program.ExitRefused, []string{"founder", "sign", "expired.draft", "--home", "anna", "--yes", "--json"}},
		{program.ExitRefused, []string{"founder", "sign", "real.draft", "--home", "anna", "--yes", "--json"}},
		{program.ExitPassphrase, []string{"founder", "sign", "real.draft", "--home", "real", "--yes", "--json"}},
		{program.ExitPassphrase, []string{"founder", "sign", "real.draft", "--home", "real", "--yes", "--json", "--passphrase-file", "wrong"}},
		{program.ExitUsage, []string{"founder", "sign", "anna.card", "--home", "anna", "--yes", "--json"}},
		{program.ExitUsage, []string{"founder", "sign", "network-1.draft", "--home", "anna", "--yes"}},
		{program.ExitOK, []string{"founder", "sign", "network-1.draft", "--home", "anna", "--yes", "--json"}},
		{program.ExitFailure, []string{"founder", "assemble", "network-1.draft", "--home", "anna"}},
		{program.ExitOK, []string{"founder", "sign", "network-1.draft", "--home", "ben", "--yes", "--json"}},
		{program.ExitRefused, []string{"founder", "assemble", "network-1.draft", "real.draft", "--home", "anna"}},
		{program.ExitOK, []string{"founder", "assemble", "network-1.draft", "--home", "anna"}},
		{program.ExitNotFound, []string{"founder", "amend", "--home", "anna", "--remove", "carl"}},
		{program.ExitUsage, []string{"founder", "amend", "--home", "anna", "--name", "n"}},
		{program.ExitUsage, []string{"founder", "amend", "--home", "ben"}},
		{program.ExitUsage, []string{"founder", "dance"}},
	} {
		if got := exitCode(s.args...); got != s.want {
			t.Errorf("%v: exit %d, want %d", s.args, got, s.want)
		}
	}
	changed, err := os.ReadFile("network-1.draft")
	if err != nil {
		t.Fatal(err)
	}
	changed[len(changed)-1] ^= 1
	if err := os.WriteFile(filepath.Join(".", "changed.draft"), changed, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := exitCode("founder", "assemble", "changed.draft", "--home", "ben"); got != program.ExitRefused {
		t.Errorf("a changed draft: exit %d", got)
	}
}

// TestEveryFailureHasACode wraps each error as callers do; where one wraps
// another, what is worse counts.
func TestEveryFailureHasACode(t *testing.T) {
	for _, f := range failures {
		var e *program.Error
		if err := founderError(fmt.Errorf("step: %w", f.err)); !errors.As(err, &e) || e.Code != f.code || e.Hint != f.hint {
			t.Errorf("%v: %+v", f.err, e)
		}
	}
	for err, want := range map[error]int{
		relay.ErrHomeInUse: program.ExitHomeInUse,
		fmt.Errorf("%w: %w", directory.ErrBadDraft, directory.ErrOtherNetwork):     program.ExitUsage,
		fmt.Errorf("%w: %w", directory.ErrBadSuccessor, directory.ErrSignature):    program.ExitRefused,
		fmt.Errorf("%w: %w", directory.ErrBadNetworkFile, directory.ErrBadAddress): program.ExitUsage,
	} {
		var e *program.Error
		if got := founderError(err); !errors.As(got, &e) || e.Code != want {
			t.Errorf("%v: %+v, want %d", err, e, want)
		}
	}
	if founderError(nil) != nil {
		t.Error("an error of nothing")
	}
}
