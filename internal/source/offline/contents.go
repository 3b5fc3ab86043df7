package offline

import "path"

// Contents are the questions that the bundle answers, each with the bytes of the
// answer, or -1 if the answer is that there is no such thing.
func (b *Bundle) Contents() map[string]int64 {
	sizes := make(map[string]int64)
	for question := range b.manifest.Absent {
		sizes[question] = -1
	}
	for question, object := range b.manifest.Objects {
		if info, err := b.root.Stat(path.Join(objectsName, object)); err == nil {
			sizes[question] = info.Size()
		}
	}
	return sizes
}
