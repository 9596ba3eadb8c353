package tui

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
)

// rendered runs an App under the real program and the real renderer, one step and
// one frame after the other, and returns the terminal that it was drawn on.
func rendered(tb testing.TB, d *driver, method ansi.Method, steps ...func()) *terminal {
	tb.Helper()
	return renderedOn(tb, d, method, method, steps...)
}

// renderedOn does so on a terminal that counts cells otherwise than it told the
// program, which draws for a terminal that counts as told.
func renderedOn(tb testing.TB, d *driver, told, method ansi.Method, steps ...func()) *terminal {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	out := &output{marks: make(chan struct{}, len(steps)+1)}
	in := strings.NewReader("")
	p := tea.NewProgram(&stepper{d: d}, tea.WithContext(ctx), tea.WithoutSignalHandler(), tea.WithoutCatchPanics(),
		tea.WithInput(in), tea.WithOutput(out), tea.WithWindowSize(d.a.width, d.a.height), tea.WithFPS(120),
		tea.WithColorProfile(colorprofile.TrueColor), tea.WithEnvironment([]string{"TERM=xterm-256color"}))
	done := make(chan error, 1)
	go func() {
		_, err := p.Run()
		done <- err
	}()
	if told == ansi.GraphemeWidth {
		p.Send(tea.ModeReportMsg{Mode: ansi.ModeUnicodeCore, Value: ansi.ModeReset})
	}
	for _, step := range append([]func(){func() {}}, steps...) {
		p.Send(stepMsg(step))
		<-out.marks
	}
	p.Quit()
	if err := <-done; err != nil {
		tb.Fatal(err)
	}
	t := newTerminal(d.a.width, d.a.height, method)
	t.write(out.b.Bytes())
	if len(t.problems) > 0 {
		tb.Errorf("the terminal was told what it must not be: %s", strings.Join(t.problems, "; "))
	}
	return t
}

// stepper runs steps inside the Update of a program. What the program itself says
// goes past the App: its size was given before.
type stepper struct{ d *driver }

type stepMsg func()

func (s *stepper) Init() tea.Cmd  { return nil }
func (s *stepper) View() tea.View { return s.d.a.View() }

func (s *stepper) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	if step, ok := msg.(stepMsg); ok {
		step()
		return s, tea.Raw(frameMark)
	}
	return s, nil
}

// frameMark stands before the frame of a step: it moves the cursor nowhere.
const frameMark = "\x1b[>31337q"

// output keeps what a program writes, and tells of frames.
type output struct {
	mu    sync.Mutex
	b     bytes.Buffer
	marks chan struct{}
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for range bytes.Count(b, []byte(frameMark)) {
		o.marks <- struct{}{}
	}
	return o.b.Write(b)
}

// sameScreen checks that a terminal holds what the App draws, row by row. A row
// whose cells terminals count differently is compared in nothing but that it
// spills into no other row.
func sameScreen(tb testing.TB, d *driver, t *terminal) {
	tb.Helper()
	lines, _ := d.a.draw()
	got := t.rows(t.last)
	if len(got) != len(lines) {
		tb.Fatalf("%d rows on a terminal of %d", len(lines), len(got))
	}
	for i, l := range lines {
		l = ansi.Strip(l)
		if ansi.StringWidth(l) != ansi.StringWidthWc(l) {
			continue
		}
		if want := strings.TrimRight(l, " "); got[i] != want {
			tb.Errorf("row %d on the terminal is\n%q, drawn was\n%q", i, got[i], want)
		}
	}
}

// onlyStyle checks lines for control characters: none but newlines between them
// and SGR in them.
func onlyStyle(lines []string) error {
	for i, l := range lines {
		rest := l
		for {
			at := strings.IndexByte(rest, 0x1b)
			if at < 0 {
				break
			}
			end := at + 1
			if !strings.HasPrefix(rest[at:], "\x1b[") {
				return fmt.Errorf("line %d holds an escape that is no style: %q", i, l)
			}
			for end++; end < len(rest) && strings.IndexByte("0123456789;:", rest[end]) >= 0; end++ {
			}
			if end >= len(rest) || rest[end] != 'm' {
				return fmt.Errorf("line %d holds an escape that is no style: %q", i, l)
			}
			rest = rest[:at] + rest[end+1:]
		}
		for _, r := range rest {
			if r < 0x20 || r >= 0x7f && r < 0xa0 {
				return fmt.Errorf("line %d holds a control: %q", i, l)
			}
		}
	}
	return nil
}

// TestRendererDrawsWhatTheAppDraws goes through screens on the real renderer: the
// terminal holds in the end what the App said.
func TestRendererDrawsWhatTheAppDraws(t *testing.T) {
	for _, method := range []ansi.Method{ansi.WcWidth, ansi.GraphemeWidth} {
		for _, size := range sizes {
			d := drive(t, &fakeHome{state: readyHome, chat: newFake()}, size[0], size[1])
			term := rendered(t, d, method,
				func() { d.key("f1") },
				func() { d.key("esc", "alt+n") },
				func() { d.typeText("carol") },
				func() { d.key("enter") },
				func() { d.key("esc") },
				func() { d.typeText("see you\tat the usual") },
				func() { d.key("enter", "pgup") },
			)
			sameScreen(t, d, term)
			for _, title := range term.titles {
				if title != "" && !strings.HasPrefix(title, "hearsay") {
					t.Errorf("title %q", title)
				}
			}
			if len(term.clipboard)+len(term.notified) > 0 {
				t.Errorf("clipboard %q, notified %q", term.clipboard, term.notified)
			}
		}
	}
}
