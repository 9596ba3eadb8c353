package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hearsay/cmd/program"
	"hearsay/cmd/program/programtest"
)

// TestPackagingUsesWhatIsThere: every command and flag in the unit exists.
func TestPackagingUsesWhatIsThere(t *testing.T) {
	text, err := os.ReadFile("hearsay.service")
	if err != nil {
		t.Fatal(err)
	}
	problems, count := programtest.Unknown(root(), string(text))
	for _, p := range problems {
		t.Error(p)
	}
	if count == 0 {
		t.Error("no command line was found")
	}
}

// TestUnitNamesThePageOfTheManual in its section.
func TestUnitNamesThePageOfTheManual(t *testing.T) {
	unit, err := os.ReadFile("hearsay.service")
	if err != nil {
		t.Fatal(err)
	}
	page, err := program.WriteManual(root(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if want := "\nDocumentation=man:" + name + "(" + strings.TrimPrefix(filepath.Ext(page), ".") + ")\n"; !strings.Contains(string(unit), want) {
		t.Errorf("the unit has no line %q", want)
	}
}
