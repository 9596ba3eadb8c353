package main

import (
	"os"
	"testing"

	"hearsay/cmd/program/programtest"
)

// TestPackagingUsesWhatIsThere: every command and flag in the unit and in the file
// for a small network exists.
func TestPackagingUsesWhatIsThere(t *testing.T) {
	for file, least := range map[string]int{"hearsay-directory.service": 1, "../hearsay-relay/compose.yaml": 2} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		problems, count := programtest.Unknown(root(), string(text))
		for _, p := range problems {
			t.Errorf("%s: %s", file, p)
		}
		if count < least {
			t.Errorf("%s: %d command lines were found, want %d", file, count, least)
		}
	}
}
