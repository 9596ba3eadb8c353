package main

import (
	"context"
	"errors"
	"os"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/spf13/cobra"

	"hearsay/chat"
	"hearsay/cmd/program"
	"hearsay/tui"
)

// terminateTime is how long the screens may take to write drafts and leave the
// terminal as it was, once the program is told to stop.
const terminateTime = 1500 * time.Millisecond

// runTUI opens the terminal interface on a profile, or the plain mode.
func runTUI(cmd *cobra.Command, f *flags) error {
	if !f.plain && !isTerminal() {
		return program.Usage("scripts use `hearsay rpc`; --plain needs no terminal", "the terminal interface needs a terminal")
	}
	if err := f.configure(); err != nil {
		return err
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
	relay, err := f.lending(cmd)
	if err != nil {
		return err
	}
	h := &tuiHome{lending: relay, f: f, dir: f.dir(), network: f.network, cover: f.cover, log: log}
	if h.state, err = chat.Inspect(h.dir); err != nil {
		return err
	}
	if f.passphraseFile != "" {
		if h.passphrase, err = program.ReadPassphrase(f.passphraseFile, "", false); err != nil {
			return err
		}
	}
	err = f.show(cmd.Context(), tui.Config{Home: h, Doctor: f.checks(h.source)})
	return errors.Join(err, h.close())
}

// show runs the screens, or the plain mode, until the person quits or ctx ends.
func (f *flags) show(ctx context.Context, cfg tui.Config) error {
	cfg = f.interfaceConfig(cfg)
	if f.wantsPlain() {
		return showPlain(ctx, tui.PlainConfig{Config: cfg})
	}
	return showScreen(ctx, cfg)
}

// interfaceConfig adds what screens and the plain mode need of this computer.
func (f *flags) interfaceConfig(cfg tui.Config) tui.Config {
	w := &configWriter{file: f.configFile(), saved: f.prefs}
	cfg.Preferences, cfg.SavePreferences = &f.prefs, w.save
	cfg.LocalFile, cfg.SaveDir = localFile, saveDir()
	cfg.Complete, cfg.WriteFile = completePath, writeNewFile
	return cfg
}

// showScreen runs the screens until the person quits or ctx ends. Then drafts are
// written first.
func showScreen(ctx context.Context, cfg tui.Config) error {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	app, err := tui.New(own, cfg)
	if err != nil {
		return program.Fail(program.ExitUsage, "see [keys] in the configuration", err)
	}
	opts := []tea.ProgramOption{tea.WithContext(own), tea.WithoutSignalHandler(), tea.WithFPS(tui.FramesPerSecond)}
	if cfg.Preferences != nil && cfg.Preferences.NoColor {
		opts = append(opts, tea.WithColorProfile(colorprofile.Ascii))
	}
	p := tea.NewProgram(app, opts...)
	defer context.AfterFunc(ctx, func() {
		late := time.AfterFunc(terminateTime, p.Kill) // the terminal may be gone
		p.Send(tui.Terminate{})
		p.Wait()
		late.Stop()
	})()
	_, err = p.Run()
	if errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil {
		return nil // told to stop
	}
	return err
}

// writeNewFile writes a file that nobody else may read, and replaces none.
func writeNewFile(path string, data []byte) (err error) {
	if path, err = localPath(path); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	switch {
	case errors.Is(err, os.ErrExist):
		return &chat.Error{Kind: chat.KindExists, Text: "there is a file of that name", Hint: "give another one"}
	case err != nil:
		return &chat.Error{Kind: chat.KindIO, Text: "cannot write the file: " + chat.Sanitize(err.Error())}
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		_ = os.Remove(path)
		return &chat.Error{Kind: chat.KindIO, Text: "cannot write the file: " + chat.Sanitize(err.Error())}
	}
	return nil
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
