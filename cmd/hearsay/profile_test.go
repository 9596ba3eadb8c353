package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hearsay/chat"
)

// TestNewConversationsDisappear: the time of the configuration holds for each new
// contact, once, and a later change of the person's stays.
func TestNewConversationsDisappear(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	home := filepath.Join(t.TempDir(), "config")
	if err := os.MkdirAll(home, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, configName), []byte(`delete_after = "7d"`), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &flags{home: home}
	d, err := startDemo(ctx, minRelays, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	}()
	events := d.self.Subscribe()
	defer events.Close()
	d.self.limitNew(f.deleteAfter)
	for {
		ev, err := events.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if ev.Type == chat.ConversationChanged && ev.Contact != nil && ev.Contact.Name == echoName {
			if s := ev.Contact.Settings; s == nil || s.DisappearAfter != 7*24*time.Hour {
				t.Errorf("settings %+v", s)
			}
			return
		}
	}
}

// TestPathsAreOfThisProgram: a profile in a daemon, which lies elsewhere and knows
// no ~, gets whole paths.
func TestPathsAreOfThisProgram(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Chdir(dir)
	home := filepath.Join(dir, "profile")
	p, err := openProfile(chat.Config{Home: home, Network: deadLink(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	c := here{p}
	if _, err := c.Export(t.Context(), chat.NotesID, "~/notes.jsonl"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "notes.jsonl")); err != nil {
		t.Error(err)
	}
	err = c.Backup(t.Context(), "notes.jsonl", []byte("secret"), true)
	if err == nil || !strings.Contains(err.Error(), "is there") && !strings.Contains(err.Error(), "exists") && !strings.Contains(err.Error(), "a file") {
		t.Errorf("a backup over another file: %v", err)
	}
}
