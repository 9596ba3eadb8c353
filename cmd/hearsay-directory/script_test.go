package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"hearsay/cmd/program"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		name: func() { os.Exit(program.Main(root())) },
	})
}

// TestScripts runs one script per command.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// field FILE NAME VAR puts a text of a JSON line into a variable.
			"field": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Setenv(args[2], jsonField[string](ts, args[0], args[1]))
			},
			// words FILE OUT writes the words of a root key as they are typed.
			"words": func(ts *testscript.TestScript, _ bool, args []string) {
				list := jsonField[[]string](ts, args[0], "root_words")
				ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(strings.Join(list, "\n")), 0o600))
			},
		},
		Setup: func(e *testscript.Env) error { return writeBadInput(e.WorkDir) },
	})
}

func jsonField[T any](ts *testscript.TestScript, file, name string) (v T) {
	fields := map[string]json.RawMessage{}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(file)), &fields))
	ts.Check(json.Unmarshal(fields[name], &v))
	return v
}
