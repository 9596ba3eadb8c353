package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hearsay/directory"
	"hearsay/directory/gossip"
	"hearsay/relay"
)

// TestRefusedRelayTellsItsOperator: the program says why the directory does not
// take it, what to do, and goes on trying.
func TestRefusedRelayTellsItsOperator(t *testing.T) {
	for join, want := range map[directory.Join][]string{
		directory.JoinToken: {
			"hearsay-relay: warning: refused: this network wants a relay token",
			"hearsay-relay: hint: ask a founder for `hearsay-directory token` and give it as --token",
		},
		directory.JoinVouch: {
			"hearsay-relay: warning: refused: this network wants the vouch of an operator of listed relays",
			"hearsay-relay: hint: ask an operator of listed relays for `hearsay-relay vouch ",
		},
		directory.JoinClosed: {
			"hearsay-relay: warning: refused: the network is closed and its file does not name this relay",
			"hearsay-relay: hint: ask the founders to add it: hearsay-directory founder amend --add-relay ",
		},
	} {
		t.Run(join.String(), func(t *testing.T) {
			network := foundJoining(t, join)
			out, in := io.Pipe()
			background(t, func(ctx context.Context) error {
				cmd := root()
				cmd.SetArgs([]string{
					"run", "--home", filepath.Join(t.TempDir(), "relay"), "--network", network.String(),
					"--listen", "127.0.0.1:0", "--log-level", "error",
				})
				cmd.SetOut(io.Discard)
				cmd.SetErr(in)
				err := cmd.ExecuteContext(ctx)
				_ = in.CloseWithError(err)
				return err
			})
			lines := bufio.NewScanner(out)
			for _, w := range want {
				found := false
				for !found && lines.Scan() {
					found = strings.HasPrefix(lines.Text(), w)
				}
				if !found {
					t.Fatalf("nothing begins with %q", w)
				}
			}
			// The rest is read, or the program could not write it.
			go func() { _, _ = io.Copy(io.Discard, out) }()
		})
	}
}

// TestNoticesAreOneLineEach: for each thing that may happen.
func TestNoticesAreOneLineEach(t *testing.T) {
	var out bytes.Buffer
	n := noticesTo(&out)
	file := &directory.NetworkFile{Join: directory.JoinToken | directory.JoinVouch}
	for _, m := range []struct {
		relay.Notice
		want string
	}{
		{relay.Notice{Kind: relay.NoticeListed}, "listed in the directory\n"},
		{relay.Notice{Kind: relay.NoticeUnlisted}, "warning: no longer listed in the directory\n"},
		{relay.Notice{Kind: relay.NoticeWork, Expected: 271 * time.Second}, "this open network wants a proof of work first; it takes about 5 minutes of one core\n"},
		{relay.Notice{Kind: relay.NoticeProgress, Elapsed: 60 * time.Second, Expected: 271 * time.Second}, "proof of work: 60 seconds of about 5 minutes\n"},
		{relay.Notice{Kind: relay.NoticeProgress, Elapsed: 600 * time.Second, Expected: 271 * time.Second}, "proof of work: 10 minutes so far; it is a matter of luck, and was expected to take 5 minutes\n"},
		{relay.Notice{Kind: relay.NoticeWorked, Elapsed: time.Second}, "proof of work done in a second; the next snapshot lists the relay, if it can be reached\n"},
	} {
		out.Reset()
		n.print(m.Notice, directory.RelayID{1}, file)
		if got := out.String(); got != "hearsay-relay: "+m.want {
			t.Errorf("%+v: %q", m.Notice, got)
		}
	}
	for code := gossip.VerdictMalformed; code <= gossip.VerdictCrowd; code++ {
		out.Reset()
		n.print(relay.Notice{Kind: relay.NoticeRefused, Verdict: code}, directory.RelayID{1}, file)
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(lines) > 2 || !strings.HasPrefix(lines[0], "hearsay-relay: warning: "+code.String()) {
			t.Errorf("%d: %q", code, lines)
		}
		if len(lines) == 2 && !strings.HasPrefix(lines[1], "hearsay-relay: hint: ") {
			t.Errorf("%d: %q", code, lines[1])
		}
	}
	// Nobody waits for a slow terminal.
	for range 100 {
		n.Notice(relay.Notice{})
	}
}
