// Package browser drives the server's screens in a real Chromium over a real PostgreSQL: its tests are people at work,
// and axe-core looks at each screen. What is missing on the machine fails the tests with the line that installs it.
package browser
