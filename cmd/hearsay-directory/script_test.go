package main

import (
	"os"
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
	testscript.Run(t, testscript.Params{Dir: "testdata/script"})
}
