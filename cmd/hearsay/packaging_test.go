package main

import (
	"os"
	"testing"

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
	if err := programtest.UnitManual(root(), string(unit), t.TempDir()); err != nil {
		t.Error(err)
	}
}
