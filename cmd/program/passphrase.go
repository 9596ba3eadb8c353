package program

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

// ReadPassphrase returns the passphrase in the file, or asks for it on the
// terminal if the file is empty, twice if it is a new one. It returns nil
// without an error if there is neither a file nor a terminal.
func ReadPassphrase(file, prompt string, twice bool) ([]byte, error) {
	if file != "" {
		return readPassphraseFile(file)
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return nil, nil
	}
	p, err := ask(prompt)
	if err != nil || !twice {
		return p, err
	}
	again, err := ask("again: ")
	if err != nil {
		return nil, err
	}
	defer clear(again)
	if !bytes.Equal(p, again) {
		clear(p)
		return nil, Fail(ExitPassphrase, "type the same passphrase twice", fmt.Errorf("the two passphrases differ"))
	}
	return p, nil
}

func ask(prompt string) ([]byte, error) {
	if inBackground(int(os.Stdin.Fd())) {
		return nil, Fail(ExitPassphrase, "run it in the foreground, or give it a file with the passphrase, which --help names",
			fmt.Errorf("a passphrase is needed, and nobody can be asked for it from the background"))
	}
	defer exitOnSignal(int(os.Stdin.Fd()))()
	fmt.Fprint(os.Stderr, prompt)
	p, err := term.ReadPassword(int(os.Stdin.Fd()))
	fmt.Fprintln(os.Stderr)
	if err != nil {
		return nil, Fail(ExitPassphrase, "", fmt.Errorf("read passphrase: %w", err))
	}
	if len(p) == 0 {
		return nil, Fail(ExitPassphrase, "there is no recovery, but an empty passphrase protects nothing", fmt.Errorf("the passphrase is empty"))
	}
	return p, nil
}

// exitOnSignal ends the process at the first signal, until what it returns is called:
// reading from a terminal does not end with a context, and the terminal must not stay
// without echo.
func exitOnSignal(fd int) (stop func()) {
	state, err := term.GetState(fd)
	if err != nil {
		return func() {}
	}
	c, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(c, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		select {
		case <-c:
			_ = term.Restore(fd, state) // it may be gone
			fmt.Fprintln(os.Stderr)
			os.Exit(ExitInterrupted)
		case <-done:
		}
	}()
	return func() { signal.Stop(c); close(done) }
}

// maxPassphrase bounds what is read from a passphrase file, bytes.
const maxPassphrase = 4096

func readPassphraseFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, Fail(ExitPassphrase, "give a readable file with --passphrase-file", fmt.Errorf("open passphrase file: %w", err))
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPassphrase+1))
	if err != nil {
		return nil, Fail(ExitPassphrase, "", fmt.Errorf("read passphrase file: %w", err))
	}
	b = bytes.TrimRight(b, "\r\n")
	if len(b) == 0 || len(b) > maxPassphrase {
		return nil, Fail(ExitPassphrase, "", fmt.Errorf("a passphrase file holds one line of 1 to %d bytes", maxPassphrase))
	}
	return b, nil
}
