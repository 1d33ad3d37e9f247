// Package arch keeps the shape of the code: its tests read every source file and fail with the names of the files that
// break a rule of the house (import direction, home of each library, no init, no exit outside of the mains, …) and
// check that the documents about the code (docs/acceptance.md, docs/dependencies.md) say what is there.
package arch
