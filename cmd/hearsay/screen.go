package main

import (
	"context"
	"errors"
	"os"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/spf13/cobra"

	"hearsay/chat"
	"hearsay/cmd/program"
	"hearsay/tui"
)

// runTUI opens the terminal interface on a profile.
func runTUI(cmd *cobra.Command, f *flags) error {
	if !isTerminal() {
		return program.Usage("scripts use `hearsay rpc`", "the terminal interface needs a terminal")
	}
	log, closeLog, err := f.logger(cmd.ErrOrStderr(), true)
	if err != nil {
		return err
	}
	defer closeLog()
	if c, err := f.attach(cmd.Context()); err == nil {
		return showAttached(cmd, f, c)
	} else if !errors.Is(err, errNoDaemon) {
		return err
	}
	h := &tuiHome{dir: f.dir(), network: f.network, cover: f.cover, log: log}
	if h.state, err = chat.Inspect(h.dir); err != nil {
		return err
	}
	if f.passphraseFile != "" {
		if h.passphrase, err = program.ReadPassphrase(f.passphraseFile, "", false); err != nil {
			return err
		}
	}
	err = showScreen(cmd.Context(), tui.Config{Home: h})
	return errors.Join(err, h.close())
}

// showScreen runs the screens until the person quits or ctx ends.
func showScreen(ctx context.Context, cfg tui.Config) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cfg.LocalFile, cfg.Complete, cfg.SaveDir = localFile, completePath, saveDir()
	opts := []tea.ProgramOption{tea.WithContext(ctx), tea.WithoutSignalHandler()}
	if os.Getenv("NO_COLOR") != "" { // any non-empty value; the library reads it as a boolean
		opts = append(opts, tea.WithColorProfile(colorprofile.Ascii))
	}
	app, err := tui.New(ctx, cfg)
	if err != nil {
		return program.Fail(program.ExitUsage, "see [keys] in the configuration", err)
	}
	_, err = tea.NewProgram(app, opts...).Run()
	if errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil {
		return nil // told to stop
	}
	return err
}

// noFirstRun is the part of a home that exists already.
type noFirstRun struct{}

// Restore fails: the profile is there.
func (noFirstRun) Restore(context.Context, string, []byte, []byte) error {
	return &chat.Error{Kind: chat.KindExists, Text: "there is a profile here already"}
}

// Demo fails: the profile has its network.
func (noFirstRun) Demo(context.Context) (string, error) {
	return "", &chat.Error{Kind: chat.KindExists, Text: "this profile has its network"}
}
