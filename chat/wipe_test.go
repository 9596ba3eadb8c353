package chat

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestWipeBesideARelay: a relay that writes until it ends, while its home is removed,
// leaves nothing and is no failure.
func TestWipeBesideARelay(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	dir := filepath.Join(home, RelayDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "state")
	for range 20 {
		if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(file, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for range 3 { // it puts back what it finds gone
				for {
					if _, err := os.Lstat(file); errors.Is(err, fs.ErrNotExist) {
						break
					}
				}
				if os.WriteFile(file, nil, 0o600) != nil {
					return // all of it is gone
				}
			}
		}()
		if err := removeHome(home); err != nil {
			t.Fatal(err)
		}
		<-ended
		if _, err := os.Lstat(home); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("left: %v", err)
		}
	}
}
