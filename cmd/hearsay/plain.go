package main

import (
	"context"
	"errors"
	"os"

	"golang.org/x/term"

	"hearsay/chat"
	"hearsay/cmd/program"
	"hearsay/tui"
)

// wantsPlain tells whether lines are wanted in place of screens: by the flag, or
// because the terminal can do no more.
func (f *flags) wantsPlain() bool { return f.plain || os.Getenv("TERM") == "dumb" }

// showPlain runs the plain mode on standard input and output until the person quits,
// ctx ends, or the input is at its end and all is delivered.
func showPlain(ctx context.Context, cfg tui.PlainConfig) error {
	cfg.In, cfg.Out = os.Stdin, os.Stdout
	if isTerminal() {
		t, err := newLineTerminal(ctx, os.Stdin, os.Stdout)
		if err != nil {
			return err
		}
		defer t.Close()
		cfg.In, cfg.Out, cfg.Terminal, cfg.Secret = t, t, true, t.Secret
		cfg.Typing = t.Typing
		cfg.Width = func() int {
			w, _, err := term.GetSize(int(os.Stdout.Fd()))
			if err != nil {
				return 0
			}
			return w
		}
	}
	return plainError(tui.RunPlain(ctx, cfg))
}

// plainError gives the errors of the plain mode their exit codes and hints.
func plainError(err error) error {
	var e *chat.Error
	switch {
	case errors.Is(err, tui.ErrUndelivered):
		return program.Fail(program.ExitTimeout, "what is queued stays on this disk, and is sent when hearsay runs again", errors.New("not all was delivered in time"))
	case errors.As(err, &e), errors.Is(err, chat.ErrPassphrase), errors.Is(err, chat.ErrNoNetwork):
		return chatError(err)
	}
	return err
}
