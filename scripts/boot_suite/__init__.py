"""What `scripts/test-boot` is made of: virtual PCs, media, servers, and what is done with them."""
