"""Tests of FaceGallery; the folders mirror the packages."""
