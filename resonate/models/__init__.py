"""Types that users of the SDK name in annotations, at the import paths of 0.6.7."""
