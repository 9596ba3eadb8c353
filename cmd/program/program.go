// Package program is what the three programs have in common: exit codes, the
// way errors and hints are printed, the ready line, logging flags, signals and
// the version. It knows nothing of what the programs do.
package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"sync/atomic"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes of all programs.
const (
	ExitOK          = 0   // done, also after SIGTERM
	ExitFailure     = 1   //
	ExitUsage       = 2   // usage or configuration
	ExitPassphrase  = 3   // missing or wrong
	ExitNoNetwork   = 4   // network unavailable
	ExitTimeout     = 5   // timed out, outcome unknown
	ExitNotFound    = 6   //
	ExitRefused     = 7   // refused for safety
	ExitHomeInUse   = 8   //
	ExitInterrupted = 130 // by SIGINT before the program served
)

// Error is an error with an exit code and, perhaps, a hint what to do.
type Error struct {
	Code int
	Hint string
	Err  error
}

// Error returns the text of the wrapped error.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the wrapped error.
func (e *Error) Unwrap() error { return e.Err }

// Fail wraps err with an exit code and a hint; nil stays nil.
func Fail(code int, hint string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Code: code, Hint: hint, Err: err}
}

// Usage makes a usage error.
func Usage(hint, format string, args ...any) error {
	return Fail(ExitUsage, hint, fmt.Errorf(format, args...))
}

// Main runs a program's root command with a context that ends at the first
// SIGINT, SIGTERM or SIGHUP (a second one ends the process at once), prints an
// error with its hint, and returns the exit code.
func Main(root *cobra.Command) int {
	// quic-go would write about small socket buffers on stderr, over a screen.
	os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true")
	ctx, stop := Signals()
	defer stop()
	root.SilenceErrors = true
	root.SilenceUsage = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return Fail(ExitUsage, "see "+cmd.CommandPath()+" --help", err)
	})
	addManual(root)
	complete(root)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitOK
	}
	return Report(os.Stderr, root.Name(), err)
}

// packageNames finds the names of our packages, which stand before the texts of
// errors for those who read code.
var packageNames = regexp.MustCompile(`(^|: )(?:(?:abuse|anonymity|audit|cell|chat|circuit|credit|directory|gossip|lab|link|mailbox|onion|path|relay|rpc|session|signer|speed|store|sybil|tui): )+`)

// ErrorText is the text of an error without the names of our packages.
func ErrorText(err error) string { return packageNames.ReplaceAllString(err.Error(), "$1") }

// Report prints an error as all programs do and returns its exit code.
func Report(w io.Writer, name string, err error) int {
	var e *Error
	code, hint := ExitFailure, ""
	if errors.As(err, &e) {
		code, hint = e.Code, e.Hint
	} else if isCobraUsage(err) {
		code, hint = ExitUsage, "see "+name+" --help"
	}
	fmt.Fprintf(w, "%s: error: %s\n", name, ErrorText(err))
	if hint != "" {
		fmt.Fprintf(w, "%s: hint: %s\n", name, hint)
	}
	return code
}

// isCobraUsage recognises the errors that cobra makes itself, for unknown
// commands and wrong numbers of arguments; all of ours are wrapped.
func isCobraUsage(err error) bool {
	s := err.Error()
	for _, p := range []string{"unknown command", "accepts ", "requires at least", "required flag"} {
		if len(s) >= len(p) && s[:len(p)] == p {
			return true
		}
	}
	return false
}

// hangup is what SIGHUP does in place of ending the program.
type hangup struct{ do atomic.Pointer[func()] }

type hangupKey struct{}

// OnHangup has SIGHUP call do, in the goroutine of the signals, and not end the
// program, which a context of Signals ends. It does nothing with another context.
func OnHangup(ctx context.Context, do func()) {
	if h, ok := ctx.Value(hangupKey{}).(*hangup); ok {
		h.do.Store(&do)
	}
}

// ErrInterrupted is the cause that ends a context of Signals at SIGINT. It is a
// cancellation, as every end by a signal.
var ErrInterrupted = fmt.Errorf("interrupted: %w", context.Canceled)

// NotServed is what a program that has not served yet ends with, if err is what it
// ended with itself: an interrupt is no success then.
func NotServed(ctx context.Context, err error) error {
	if err == nil && errors.Is(context.Cause(ctx), ErrInterrupted) {
		return Fail(ExitInterrupted, "", errors.New("interrupted before it served"))
	}
	return err
}

// Signals returns a context that ends at the first SIGINT, SIGTERM or SIGHUP (a
// terminal that went away, unless OnHangup takes it). A second signal ends the
// process at once, with status 130.
func Signals() (context.Context, func()) {
	h := &hangup{}
	ctx, cancel := context.WithCancelCause(context.WithValue(context.Background(), hangupKey{}, h))
	c := make(chan os.Signal, 2) // two, so that the second is never lost
	signal.Notify(c, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		for ended := false; ; {
			select {
			case s := <-c:
				if do := h.do.Load(); s == syscall.SIGHUP && do != nil {
					(*do)()
					continue
				}
				if ended {
					os.Exit(ExitInterrupted)
				}
				ended = true
				if s == os.Interrupt {
					cancel(ErrInterrupted)
				} else {
					cancel(nil)
				}
			case <-done:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(c)
		close(done)
		cancel(nil)
	}
}
