package svc

import "practicectl/internal/paths"

// Open returns the manager of the services of an instance: its agent. Machine-wide services under systemd are made by
// [Systemd], which needs root.
func Open(l paths.Layout) *Agent { return NewAgent(l.AgentSocket()) }
