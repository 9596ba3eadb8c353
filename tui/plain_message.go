package tui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"hearsay/chat"
)

// Numbers of /history.
const (
	plainHistory    = 20
	plainHistoryMax = 1000
)

// history writes the last messages of the conversation that is selected.
func (p *plain) history(args string) error {
	e, err := p.target("")
	if err != nil {
		return err
	}
	n, before := plainHistory, uint64(0)
	for _, word := range strings.Fields(args) {
		if number, ok := strings.CutPrefix(word, "#"); ok {
			if before, err = strconv.ParseUint(number, 10, 63); err != nil || before == 0 {
				return errors.New("a message is named by its number, such as #12")
			}
		} else if n, err = strconv.Atoi(word); err != nil || n < 1 || n > plainHistoryMax {
			return fmt.Errorf("say how many, 1 to %d", plainHistoryMax)
		}
	}
	c, id := p.chat, e.id
	list, err := awaited(p, callTimeout, func(ctx context.Context) ([]chat.Message, error) {
		return c.MessagesBefore(ctx, id, before, n)
	})
	if err != nil {
		return err
	}
	if len(list) == 0 {
		p.say("There are no messages.")
		return nil
	}
	p.sayf("Messages with %s: %d.", e.called(), len(list))
	for _, m := range list {
		p.message(m, true, false)
	}
	if before == 0 {
		p.shownUpto(id, list[len(list)-1].Seq)
	}
	p.say("End of the messages.")
	return nil
}

// showFolded writes a message in whole that was cut.
func (p *plain) showFolded(string) error {
	if p.folded == nil {
		return errors.New("no message was cut")
	}
	p.message(*p.folded, true, true)
	return nil
}

// named finds the message that a command is about: the one with the number at the
// beginning of args, else the last one that fits. rest is what follows the number.
func (p *plain) named(args, what string, fits func(m chat.Message) bool) (m chat.Message, rest string, err error) {
	e, err := p.target("")
	if err != nil {
		return m, "", err
	}
	c, id := p.chat, e.id
	word, rest, _ := strings.Cut(args, " ")
	number, ok := strings.CutPrefix(word, "#")
	seq, parsed := strconv.ParseUint(number, 10, 63)
	if ok && parsed == nil && seq > 0 {
		list, err := awaited(p, callTimeout, func(ctx context.Context) ([]chat.Message, error) { return c.Messages(ctx, id, seq-1, 1) })
		if err != nil {
			return m, "", err
		}
		if len(list) == 0 || list[0].Seq != seq {
			return m, "", fmt.Errorf("there is no message #%d here", seq)
		}
		return list[0], strings.TrimSpace(rest), nil
	}
	list, err := awaited(p, callTimeout, func(ctx context.Context) ([]chat.Message, error) { return c.MessagesBefore(ctx, id, 0, 100) })
	if err != nil {
		return m, "", err
	}
	for _, m := range slices.Backward(list) {
		if m.Kind != chat.KindMessageNotice && (fits == nil || fits(m)) {
			return m, args, nil
		}
	}
	return m, "", errors.New("there is no " + what + " among the last ones; name one by its number, such as #12")
}

func sentHere(m chat.Message) bool { return m.Direction == chat.Out }

func receivedHere(m chat.Message) bool { return m.Direction == chat.In }

// reply answers a message.
func (p *plain) reply(args string) error {
	m, text, err := p.named(args, "received message", receivedHere)
	if err != nil {
		return err
	}
	if text == "" {
		return errors.New("say what you answer: /reply TEXT")
	}
	p.remember(m)
	p.say("Answering " + plainQuoted(p.body(m)) + ".")
	return p.send(text, m.ID)
}

// edit changes the text of a message that was sent.
func (p *plain) edit(args string) error {
	m, text, err := p.named(args, "message of yours", sentHere)
	if err != nil {
		return err
	}
	if text == "" {
		return errors.New("say what it says from now on: /edit TEXT")
	}
	return p.do(func(ctx context.Context) error { return p.chat.Edit(ctx, m.ID, text) })
}

// react puts an emoji under a message.
func (p *plain) react(args string) error {
	m, emoji, err := p.named(args, "received message", receivedHere)
	if err != nil {
		return err
	}
	if emoji == "" {
		return errors.New("say which emoji: /react EMOJI; /react none takes it away")
	}
	if emoji == "none" {
		emoji = ""
	}
	return p.do(func(ctx context.Context) error { return p.chat.React(ctx, m.ID, emoji) })
}

// delete deletes a message here, or asks for the other copy too.
func (p *plain) delete(args string) error {
	m, rest, err := p.named(args, "message", nil)
	if err != nil {
		return err
	}
	both := strings.EqualFold(rest, "both")
	question := "Delete " + plainQuoted(p.body(m)) + " on this disk?"
	if both {
		question = "Delete " + plainQuoted(p.body(m)) + " on this disk, and ask the other side to delete its copy? It may have been read, or kept."
	} else if rest != "" {
		return errors.New("write /delete, or /delete both, with a number before both if you mean an earlier message")
	}
	if yes, err := p.confirm(question); !yes || err != nil {
		return err
	}
	return p.do(func(ctx context.Context) error { return p.chat.Delete(ctx, m.ID, both) })
}

// why says what became of a message.
func (p *plain) why(args string) error {
	m, _, err := p.named(args, "message of yours", sentHere)
	if err != nil {
		return err
	}
	w, err := awaited(p, callTimeout, func(ctx context.Context) (chat.Why, error) { return p.chat.Why(ctx, m.ID) })
	if err != nil {
		return err
	}
	p.say("Why " + plainQuoted(p.body(m)) + " is " + plainState(m) + ":")
	for _, h := range w.History {
		p.newDay(h.Time)
		p.say(h.Time.In(p.now().Location()).Format("15:04:05") + " " + string(h.State) + ": " + h.Detail)
	}
	for _, t := range w.Earlier {
		p.at(t.Time, "earlier text", "", t.Text)
	}
	if w.Next != "" {
		p.say(w.Next)
	}
	if w.NextTry != nil {
		p.say("Next try at " + p.clock(*w.NextTry) + ", by itself. /retry tries now.")
	}
	if w.Expires != nil {
		p.say("Relays may delete it after " + w.Expires.In(p.now().Location()).Format("2 January 2006") + ".")
	}
	return nil
}

// retry tries a message again now.
func (p *plain) retry(args string) error {
	m, _, err := p.named(args, "message of yours", sentHere)
	if err != nil {
		return err
	}
	if err := p.do(func(ctx context.Context) error { return p.chat.Retry(ctx, m.ID) }); err != nil {
		return err
	}
	p.say("It is being tried again.")
	return nil
}

// search writes the newest messages that hold a text.
func (p *plain) search(text string) error {
	if text == "" {
		return errors.New("say what to search for: /search TEXT")
	}
	const most = 50
	list, err := awaited(p, callTimeout, func(ctx context.Context) ([]chat.Message, error) { return p.chat.Search(ctx, text, "", most) })
	if err != nil {
		return err
	}
	if len(list) == 0 {
		p.say("Nothing was found.")
		return nil
	}
	p.sayf("Found: %d, the newest first. Numbers count in each conversation.", len(list))
	for _, m := range list {
		p.message(m, true, false)
	}
	if len(list) == most {
		p.say("There may be more.")
	}
	return nil
}
