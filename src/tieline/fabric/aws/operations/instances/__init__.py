"""Operations on instances, images, and the regions that they are in."""
