package tui

import (
	"context"
	"fmt"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// coverMsg tells that a cover profile was chosen.
type coverMsg struct {
	name string
	err  error
}

// setCover runs /cover: without a name it says what there is.
func (a *App) setCover(name string) tea.Cmd {
	if name == "" {
		a.notice = coverText(a.status.Cover)
		return nil
	}
	if !slices.Contains(chat.Covers(), name) {
		a.notice = "no cover profile is called " + sanitizeLine(name) + "; there are " + strings.Join(chat.Covers(), ", ")
		return nil
	}
	if a.chat == nil {
		return nil
	}
	a.composer.Reset()
	c := a.chat
	return a.call(func(ctx context.Context) tea.Msg { return coverMsg{name, c.SetCover(ctx, name)} })
}

func (a *App) applyCover(msg coverMsg) tea.Cmd {
	if msg.err != nil {
		a.notice = errorText(msg.err)
		return nil
	}
	a.notice = fmt.Sprintf("cover is %s from now on, about %d MB a day", msg.name, chat.CoverCost(msg.name))
	return a.loadStatus()
}

// coverText lists the profiles and what they cost.
func coverText(now string) string {
	var b strings.Builder
	for i, name := range chat.Covers() {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %d", name, chat.CoverCost(name))
	}
	if now == "" {
		return "cover, in MB a day: " + b.String()
	}
	return "cover is " + now + "; in MB a day: " + b.String()
}
