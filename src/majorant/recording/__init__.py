"""From a file to what is imaged: read, mended, referenced, averaged, with its noise."""
