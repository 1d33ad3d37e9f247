// Package diskspace tells how much room a disk has, and whether an error means that there is none left.
package diskspace
