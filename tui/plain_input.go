package tui

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// plainLine is a line of the input.
type plainLine struct {
	text string
	long bool // over plainLineMax: text is empty
	err  error
}

// read reads a line whenever one is wanted, until the end of the input or that of
// the program. It never reads ahead: a passphrase is read from the same terminal.
func (p *plain) read() {
	defer close(p.lines)
	r := bufio.NewReaderSize(p.cfg.In, 4096)
	for {
		select {
		case <-p.wanted:
		case <-p.ctx.Done():
			return
		}
		line, err := readPlainLine(r)
		if err != nil && !errors.Is(err, io.EOF) {
			line = plainLine{err: err}
		}
		if err != nil && line == (plainLine{}) {
			return
		}
		select {
		case p.lines <- line:
		case <-p.ctx.Done():
			return
		}
	}
}

// readPlainLine reads a line without its end; one that is too long is read to its
// end and dropped.
func readPlainLine(r *bufio.Reader) (plainLine, error) {
	var b []byte
	long := false
	for {
		part, err := r.ReadSlice('\n')
		if long = long || len(b)+len(part) > plainLineMax+2; long {
			b = nil
		} else {
			b = append(b, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		return plainLine{text: strings.TrimRight(string(b), "\r\n"), long: long}, err
	}
}

// errPlainLate says that no line came in time.
var errPlainLate = errors.New("tui: no line came")

// next returns the next line, telling of events meanwhile. It fails with
// errPlainEnd at the end of the input, and with errPlainLate when until is ready.
func (p *plain) next(until <-chan time.Time) (string, error) {
	for {
		if p.broken != nil {
			return "", p.broken
		}
		if p.ended {
			return "", errPlainEnd
		}
		if !p.asked {
			p.asked = true
			p.wanted <- struct{}{}
		}
		select {
		case line, ok := <-p.lines:
			p.asked = false
			switch {
			case !ok:
				p.ended = true
			case line.err != nil:
				return "", fmt.Errorf("read the input: %w", line.err)
			case line.long:
				p.fail("That line is too long and was dropped: 64 KiB at most.")
			default:
				p.idle() // before the line counts: who comes back gives the passphrase first
				p.used = p.now().Round(0)
				return line.text, nil
			}
		case <-until:
			return "", errPlainLate
		case ev, ok := <-p.changes:
			if err := p.took(ev, ok); err != nil {
				return "", err
			}
		case <-p.looks():
			p.tick()
		case <-p.ctx.Done():
			return "", p.ctx.Err()
		}
	}
}

// line takes one line of input: a command, an invite, or a text.
func (p *plain) line(text string) error {
	switch {
	case strings.TrimSpace(text) == "":
		return nil
	case strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "//"):
		return p.command(text)
	case p.locked:
		p.fail("hearsay is locked: nothing was sent. /unlock opens it.")
		return nil
	}
	if p.cfg.Terminal {
		all, err := p.pasted(text)
		if err != nil || all == "" {
			return err
		}
		text = all
	}
	if isInvite(text) {
		return p.accept(readLink(text), "")
	}
	return p.send(strings.TrimPrefix(text, "/"), "")
}

// pasted gathers the lines that came together with a first one, and asks what to do
// with several. It returns what is to be sent; empty: nothing.
func (p *plain) pasted(first string) (string, error) {
	all := []string{first}
	for {
		next, err := p.next(time.After(plainPaste))
		if errors.Is(err, errPlainLate) && p.cfg.Typing != nil && p.cfg.Typing() {
			next, err = p.next(nil) // the end of what was pasted is still in the line
		}
		if errors.Is(err, errPlainLate) || errors.Is(err, errPlainEnd) {
			break
		}
		if err != nil {
			return "", err
		}
		all = append(all, next)
	}
	for len(all) > 1 && strings.TrimSpace(all[len(all)-1]) == "" {
		all = all[:len(all)-1]
	}
	text := strings.Join(all, "\n")
	if len(all) == 1 || isInvite(text) {
		return text, nil
	}
	yes, err := p.confirm(fmt.Sprintf("%d lines came at once. Send them as one message?", len(all)))
	if err != nil || !yes {
		return "", err
	}
	return text, nil
}

// confirm asks; only yes is yes, and the end of the input is no.
func (p *plain) confirm(question string) (bool, error) {
	answer, err := p.ask(question + " Type yes, or anything else for no.")
	if err != nil {
		return false, err
	}
	if !strings.EqualFold(answer, "yes") {
		p.say("Not done.")
		return false, nil
	}
	return true, nil
}

// ask writes a question and returns the next line, without the blanks around it;
// empty at the end of the input.
func (p *plain) ask(question string) (string, error) {
	p.say(question)
	answer, err := p.next(nil)
	if errors.Is(err, errPlainEnd) {
		err = nil
	}
	return strings.TrimSpace(answer), err
}
