package tui

import (
	"reflect"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
)

// The rest of an answer that a slow link tore apart comes within answerTime, and is
// no longer than answerKeys characters.
const (
	answerTime = time.Second
	answerKeys = 128
)

// tornAnswer follows an answer of the terminal that came in pieces: the library
// takes what comes after the first one for keys, which would become text of the
// composer, or of a passphrase.
type tornAnswer struct {
	since time.Time // zero: none is awaited
	taken int
}

// begun takes a message that the library did not understand.
func (t *tornAnswer) begun(msg tea.Msg, now time.Time) {
	v := reflect.ValueOf(msg)
	if !v.IsValid() || v.Kind() != reflect.String {
		return
	}
	s := v.String()
	for _, start := range []string{"\x1b]", "\x1bP", "\x1b_"} {
		if strings.HasPrefix(s, start) && !strings.HasSuffix(s, "\a") && !strings.HasSuffix(s, "\x1b\\") {
			*t = tornAnswer{since: now}
		}
	}
}

// takes tells whether a key belongs to an answer.
func (t *tornAnswer) takes(k tea.KeyPressMsg, now time.Time) bool {
	if t.since.IsZero() || now.Sub(t.since) > answerTime || t.taken >= answerKeys {
		t.since = time.Time{}
		return false
	}
	t.taken++
	switch key := k.String(); {
	case key == `alt+\`, key == "ctrl+g": // its end
		t.since = time.Time{}
	case k.Text == "": // no answer holds such a key
		t.since = time.Time{}
		return false
	}
	return true
}
