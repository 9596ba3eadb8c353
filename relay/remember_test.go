package relay

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hearsay/directory"
)

// TestFullDiskKeepsDirectoryNode: a new version of the network file that cannot be
// written to the home does not end the process, which still signs and serves; it is
// written later.
func TestFullDiskKeepsDirectoryNode(t *testing.T) {
	n, err := openDirectory(t, withFile(t, func(*directory.NetworkFile) {}))
	if err != nil {
		t.Fatal(err)
	}
	own := n.home
	defer func() { n.home = own }()
	n.home = &home{dir: filepath.Join(t.TempDir(), "gone")} // what is written there fails
	said := make(chan string, 16)
	n.log = slog.New(slog.NewTextHandler(lines(said), nil))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.remember(ctx) }()
	select {
	case line := <-said:
		if !strings.Contains(line, "network file is not saved") {
			t.Errorf("%s", line)
		}
	case err := <-done:
		t.Fatalf("the node ends: %v", err)
	}
	if err := os.Mkdir(n.home.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	n.views.Warn(directory.WarnClock, directory.Warning{Text: "x"}) // as a new snapshot would wake it
	for {
		if c, err := FounderChain(n.home.dir); err == nil && c.Current().Version == 1 {
			break
		}
		select {
		case err := <-done:
			t.Fatalf("the node ends: %v", err)
		default:
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// lines is a writer that passes on what is written.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}
