package main

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// TestDemoLines is the demo without a terminal: a line, its states up to
// delivered, the echo, and exit 0.
func TestDemoLines(t *testing.T) {
	p := start(t, "hearsay", "demo")
	io.WriteString(p.stdin, "hello\n")
	p.stdin.Close()
	var out []string
	for l := range p.lines {
		out = append(out, l)
	}
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.errors())
	}
	text := strings.Join(out, "\n")
	at := 0
	for _, want := range []string{"you to echo: hello\n", "hello: queued\n", "hello: stored,", "hello: delivered\n"} {
		i := strings.Index(text[at:]+"\n", want)
		if i < 0 {
			t.Fatalf("%q is missing, or out of order:\n%s", want, text)
		}
		at += i
	}
	if !strings.Contains(text+"\n", " echo: hello\n") {
		t.Errorf("no answer:\n%s", text)
	}
}

// TestDemoJoinedBySecondPerson runs the command that the demo prints, and lets
// the two people talk.
func TestDemoJoinedBySecondPerson(t *testing.T) {
	began := time.Now()
	first := startScript(t, "hearsay", "demo", "--rpc")
	first.untilReady()
	t.Logf("ready after %s", time.Since(began).Round(time.Millisecond))
	if first.contact("echo") == "" {
		t.Error("echo is not active although the demo is ready")
	}
	var args []string
	first.until("the command is printed", func() bool {
		for _, l := range strings.SplitAfter(first.errors(), "\n") {
			if strings.Contains(l, " --network ") && strings.HasSuffix(l, "\n") {
				args = fields(l)
			}
		}
		return len(args) > 0
	})
	second := startScript(t, args[0], args[1:]...)
	second.untilReady()
	atFirst, atSecond := introduce(t, first, second, "guest", "host")
	first.must(nil, "message.send", map[string]any{"contact": atFirst, "text": "welcome"})
	second.until("received", func() bool {
		ms := second.messages(atSecond)
		return len(ms) == 1 && ms[0].Text == "welcome"
	})
	second.shutdown()
	first.shutdown()
	home := args[3]
	if _, err := os.Stat(home); err == nil {
		t.Errorf("the demo left %s behind", home)
	}
}
