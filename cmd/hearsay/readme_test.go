package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// readmeBlock returns a code block of the README by its first line.
func readmeBlock(t *testing.T, fence, first string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(b), fence+"\n"+first+"\n")
	block, _, ended := strings.Cut(rest, "\n```")
	if !found || !ended {
		t.Fatalf("the README has no block that begins with %q", first)
	}
	return block + "\n"
}

// startBot starts the bot of the README in a directory of its own.
func startBot(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal("the README's bot needs python3: ", err)
	}
	shell := append([]string{"-c", `cd "$1" && PATH="$2:$PATH" && export PATH && shift 2 && exec "$@"`, "sh", dir, bin, python, "echo.py"}, args...)
	return start(t, "/bin/sh", shell...)
}

// TestReadmeBot takes the bot out of the README, runs it as a newcomer does and
// talks with it: it answers, in order, goes on where it was killed without
// losing a text or answering one twice, and shares a home with a daemon and
// another program.
func TestReadmeBot(t *testing.T) {
	w := startNetwork(t, 6)
	dir := filepath.Join(t.TempDir(), "bot")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "echo.py"), []byte(readmeBlock(t, "```python", "# echo.py")), 0o600); err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(w.dir, "home")
	guest := startScript(t, "hearsay", "rpc", "--home", filepath.Join(w.dir, "guest"), "--network", w.link)
	guest.must(nil, "subscribe", nil)
	guest.untilReady()
	b := startBot(t, dir, "--home", home, "--network", w.link)
	guest.must(nil, "invite.accept", map[string]any{"link": b.line(), "name": "echo"})
	echo := ""
	guest.until("active", func() bool { echo = guest.contact("echo"); return echo != "" })
	var said []string
	say := func(n int) {
		t.Helper()
		for range n {
			text := fmt.Sprintf("text %d: ä\n“and a second line”", len(said))
			said = append(said, text)
			guest.must(nil, "message.send", map[string]any{"contact": echo, "text": text})
		}
	}
	answered := func() {
		t.Helper()
		var answers []string
		guest.until("answered", func() bool {
			answers = nil
			for _, m := range guest.messages(echo) {
				if m.Direction == "in" {
					answers = append(answers, m.Text)
				}
			}
			return len(answers) >= len(said)
		})
		if !slices.Equal(answers, said) {
			t.Fatalf("answers %q\nwant %q", answers, said)
		}
	}
	say(3)
	answered()

	// Killed in the middle of its work, with the messenger under it, and again
	// with texts that came while it was away.
	say(5)
	b.kill()
	say(2)
	b = startBot(t, dir, "--home", home)
	say(1)
	answered()
	b.kill()

	// The same home in a daemon: the bot attaches, and so does a person's program.
	d := startDaemon(t, home)
	b = startBot(t, dir, "--home", home)
	person := startScript(t, "hearsay", "rpc", "--home", home)
	person.must(nil, "subscribe", nil)
	say(2)
	answered()
	person.until("sees both sides", func() bool {
		return len(person.messages(person.contact("contact 1"))) == 2*len(said)
	})
	person.shutdown()
	d.terminate()
	if code := d.wait(); code != 0 {
		t.Errorf("the daemon exited with %d", code)
	}
	if code := b.wait(); code != 1 || !strings.Contains(b.errors(), "hearsay: error: the daemon has ended\nhearsay: hint: ") {
		t.Errorf("the bot exited with %d: %s", code, b.errors())
	}
}
