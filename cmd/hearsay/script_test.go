package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs one script per command, with the programs that TestMain built.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+string(filepath.ListSeparator)+env.Getenv("PATH"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"savelink": saveLink},
	})
}

// saveLink writes the network link in the last output to a file.
func saveLink(ts *testscript.TestScript, _ bool, args []string) {
	link := regexp.MustCompile(`HEARSAY-NET:[A-Z2-7]+`).FindString(ts.ReadFile("stdout"))
	if link == "" || len(args) != 1 {
		ts.Fatalf("savelink FILE: no link")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(link+"\n"), 0o600))
}
